//! Item histories of a part of the sampled users, for the recommender. Input: the newest items of one user after
//! another. Output: items in id order and histories that refer to them by index; memory is bounded.

use super::bottom_k::BottomKSample;
use super::limits::LimitCount;
use portrait_learning::prediction::recommend::{History, Interaction};
use portrait_profile::{ItemId, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::{self, ItemTouch};
use std::collections::HashMap;

/// Maximum number of distinct items; later ones are left out. Bounds memory against made-up ids.
const ITEMS_MAX: usize = 500_000;

/// Collector of item histories, bounded by bottom-k sampling.
#[derive(Debug)]
pub(super) struct HistoryCollector {
    by_user: BottomKSample<Vec<Interaction>>,
    item_indexes: HashMap<String, u32>,
    /// Users with a history.
    users: u64,
    /// Interactions of sampled users, and those with an item within [`ITEMS_MAX`].
    interactions: LimitCount,
}

/// Items and the histories that refer to them.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    /// Items in id order; histories refer to them by index.
    pub(crate) items: Vec<ItemId>,
    /// Histories by index of the user in the sample, in that order.
    pub(crate) by_user: Vec<(usize, Vec<Interaction>)>,
    /// Users with a history in the sample, and in the stream.
    pub(crate) users: LimitCount,
    /// Interactions of sampled users, without those beyond the limit of items.
    pub(crate) interactions: LimitCount,
}

impl HistoryCollector {
    /// Creates a collector of at most `users_max` histories; 0 collects none.
    pub(super) fn begin(users_max: usize) -> Self {
        Self {
            by_user: BottomKSample::new(users_max),
            item_indexes: HashMap::new(),
            users: 0,
            interactions: LimitCount::default(),
        }
    }

    /// Adds the history of a user.
    pub(super) fn add(&mut self, hash: u64, items: Vec<ItemTouch>) {
        self.users += u64::from(!items.is_empty());
        if items.is_empty() || !self.by_user.accepts(hash) {
            return;
        }
        let is_rejected =
            |item: &ItemTouch| matches!(item.state(), v1::ItemState::Returned | v1::ItemState::Removed);
        // What was given back is no example of what users like; a user with nothing else is known to like nothing.
        let interactions = items.into_iter().filter(|item| !is_rejected(item));
        let interactions = interactions.filter_map(|item| self.interaction(item)).collect();
        self.by_user.insert(hash, interactions);
    }

    fn interaction(&mut self, item: ItemTouch) -> Option<Interaction> {
        let at = item.at.and_then(|at| time::from_wire(&at).ok()).unwrap_or(Timestamp::EPOCH);
        let index = match self.item_indexes.get(&item.item_id) {
            Some(index) => Some(*index),
            None if self.item_indexes.len() < ITEMS_MAX && ItemId::parse(&item.item_id).is_ok() => {
                let index = u32::try_from(self.item_indexes.len()).ok()?;
                self.item_indexes.insert(item.item_id, index);
                Some(index)
            }
            None => None,
        };
        self.interactions.count(index.is_some());
        let index = index?;
        Some(Interaction { item: index, at, count: item.count.max(1) as f32 })
    }

    /// Returns the histories of the users in the sample, whose hashes are given in order.
    pub(super) fn finish(self, hashes: &[u64]) -> Histories {
        let mut items: Vec<(ItemId, u32)> = Vec::with_capacity(self.item_indexes.len());
        items.extend(
            self.item_indexes
                .into_iter()
                .filter_map(|(id, arrival)| Some((ItemId::parse(&id).ok()?, arrival))),
        );
        // Indexes by arrival depend on the order of the stream; indexes by id make trainings reproducible.
        items.sort_unstable();
        let mut index_by_arrival = vec![0; items.len()];
        for (index, (_, arrival)) in items.iter().enumerate() {
            index_by_arrival[*arrival as usize] = index as u32;
        }
        let mut by_user = Vec::new();
        for (hash, mut interactions) in self.by_user.finish() {
            let Ok(user) = hashes.binary_search(&hash) else { continue };
            for interaction in &mut interactions {
                interaction.item = index_by_arrival[interaction.item as usize];
            }
            by_user.push((user, interactions));
        }
        let users = LimitCount { used: by_user.len() as u64, found: self.users };
        let interactions = self.interactions;
        Histories { items: items.into_iter().map(|(id, _)| id).collect(), by_user, users, interactions }
    }
}

impl Histories {
    /// Returns the histories as the recommender takes them, each with the segment of its user.
    pub(crate) fn with_segments(&self, segments: &[u32]) -> Vec<History> {
        self.by_user
            .iter()
            .map(|(user, interactions)| History {
                interactions: interactions.clone(),
                segment: segments.get(*user).copied(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, seconds: i64) -> ItemTouch {
        let at = time::to_wire(Timestamp::from_millis(seconds * 1000));
        ItemTouch { item_id: id.to_owned(), at: Some(at), count: 2, ..Default::default() }
    }

    #[test]
    fn histories_refer_to_items_by_index_and_stay_with_their_users() {
        let mut collector = HistoryCollector::begin(10);
        collector.add(7, vec![item("b", 2), item("a", 1)]);
        collector.add(3, vec![item("c", 3), item("b", 2)]);
        collector.add(9, vec![item("a", 1)]);
        // The user with hash 9 is not in the sample.
        let histories = collector.finish(&[3, 5, 7]);
        assert_eq!(histories.items.iter().map(ItemId::as_str).collect::<Vec<_>>(), ["a", "b", "c"]);
        let items: Vec<(usize, Vec<u32>)> = histories
            .by_user
            .iter()
            .map(|(user, interactions)| (*user, interactions.iter().map(|one| one.item).collect()))
            .collect();
        assert_eq!(items, [(0, vec![2, 1]), (2, vec![1, 0])]);
        let segments: Vec<Option<u32>> =
            histories.with_segments(&[4, 5, 6]).iter().map(|history| history.segment).collect();
        assert_eq!(segments, [Some(4), Some(6)]);
    }

    #[test]
    fn the_number_of_histories_is_bounded() {
        let mut collector = HistoryCollector::begin(100);
        (0..10_000_u64)
            .for_each(|number| collector.add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15), vec![item("a", 1)]));
        let kept = collector.by_user.len();
        assert!((30..=100).contains(&kept), "{kept}");
    }
}

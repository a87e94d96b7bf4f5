//! Item histories of a part of the sampled users, for the recommender. Input: the newest items of one user after
//! another. Output: items in id order and histories that refer to them by index; memory is bounded.

use super::bounded::Bounded;
use portrait_learning::prediction::recommend::{History, Interaction};
use portrait_profile::{ItemId, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::ItemTouch;
use std::collections::HashMap;

/// Maximum number of distinct items; later ones are left out. Bounds memory against made-up ids.
const ITEMS_MAX: usize = 500_000;

/// Collector of histories.
#[derive(Debug)]
pub(super) struct Gathered {
    by_shopper: Bounded<Vec<Interaction>>,
    known: HashMap<String, u32>,
}

/// Items and the histories that refer to them.
#[derive(Debug, Default)]
pub(crate) struct Pasts {
    /// Items in id order; histories refer to them by index.
    pub(crate) items: Vec<ItemId>,
    /// Histories by index of the user in the sample, in that order.
    pub(crate) of: Vec<(usize, Vec<Interaction>)>,
}

impl Gathered {
    /// Creates a collector of at most `users_max` histories; 0 collects none.
    pub(super) fn begin(shoppers_max: usize) -> Self {
        Self { by_shopper: Bounded::new(shoppers_max), known: HashMap::new() }
    }

    /// Adds the history of a user.
    pub(super) fn take(&mut self, hash: u64, items: Vec<ItemTouch>) {
        if items.is_empty() || !self.by_shopper.wants(hash) {
            return;
        }
        let touched = items.into_iter().filter_map(|item| self.touched(item)).collect();
        self.by_shopper.take(hash, touched);
    }

    fn touched(&mut self, item: ItemTouch) -> Option<Interaction> {
        let at = item.at.and_then(|at| time::from_wire(&at).ok()).unwrap_or(Timestamp::EPOCH);
        let thing = match self.known.get(&item.item_id) {
            Some(thing) => *thing,
            None if self.known.len() < ITEMS_MAX && ItemId::parse(&item.item_id).is_ok() => {
                let thing = u32::try_from(self.known.len()).ok()?;
                self.known.insert(item.item_id, thing);
                thing
            }
            None => return None,
        };
        Some(Interaction { item: thing, at, count: item.count.max(1) as f32 })
    }

    /// Returns the histories of the users in the sample, whose hashes are given in order.
    pub(super) fn finish(self, hashes: &[u64]) -> Pasts {
        let mut named: Vec<(ItemId, u32)> = Vec::with_capacity(self.known.len());
        named
            .extend(self.known.into_iter().filter_map(|(id, thing)| Some((ItemId::parse(&id).ok()?, thing))));
        named.sort_unstable();
        let mut places = vec![0; named.len()];
        named.iter().enumerate().for_each(|(place, (_, thing))| places[*thing as usize] = place as u32);
        let renumbered = |touched: Interaction| Interaction { item: places[touched.item as usize], ..touched };
        let in_sample = |(hash, touched): (u64, Vec<Interaction>)| {
            let place = hashes.binary_search(&hash).ok()?;
            Some((place, touched.into_iter().map(renumbered).collect()))
        };
        let of = self.by_shopper.finish().into_iter().filter_map(in_sample).collect();
        Pasts { items: named.into_iter().map(|(id, _)| id).collect(), of }
    }
}

impl Pasts {
    /// Returns the histories as the recommender takes them, each with the segment of its user.
    pub(crate) fn with_segments(&self, segments: &[u32]) -> Vec<History> {
        let past = |(place, touched): &(usize, Vec<Interaction>)| History {
            interactions: touched.clone(),
            segment: segments.get(*place).copied(),
        };
        self.of.iter().map(past).collect()
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
        let mut gathered = Gathered::begin(10);
        gathered.take(7, vec![item("b", 2), item("a", 1)]);
        gathered.take(3, vec![item("c", 3), item("b", 2)]);
        gathered.take(9, vec![item("a", 1)]);
        // The user with hash 9 is not in the sample.
        let pasts = gathered.finish(&[3, 5, 7]);
        assert_eq!(pasts.items.iter().map(ItemId::as_str).collect::<Vec<_>>(), ["a", "b", "c"]);
        let things: Vec<(usize, Vec<u32>)> = pasts
            .of
            .iter()
            .map(|(place, touched)| (*place, touched.iter().map(|one| one.item).collect()))
            .collect();
        assert_eq!(things, [(0, vec![2, 1]), (2, vec![1, 0])]);
        let segments: Vec<Option<u32>> =
            pasts.with_segments(&[4, 5, 6]).iter().map(|past| past.segment).collect();
        assert_eq!(segments, [Some(4), Some(6)]);
    }

    #[test]
    fn the_number_of_histories_is_bounded() {
        let mut gathered = Gathered::begin(100);
        (0..10_000_u64)
            .for_each(|number| gathered.take(number.wrapping_mul(0x9E37_79B9_7F4A_7C15), vec![item("a", 1)]));
        let kept = gathered.by_shopper.len();
        assert!((30..=100).contains(&kept), "{kept}");
    }
}

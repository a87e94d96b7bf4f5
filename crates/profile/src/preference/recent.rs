//! Recent items of a user, each once, newest first: bounded by number and by bytes, the oldest is evicted. Items with a
//! single view are evicted sooner: they show the current intent, but rarely what a user returns to.

use crate::action::ActionKind;
use crate::id::ItemId;
use crate::time::Timestamp;
use memchr::memchr_iter;
use std::collections::{VecDeque, vec_deque};
use xxhash_rust::xxh64::xxh64;

/// Maximum number of items of a profile; fewer if their ids are long.
pub const RECENT_ITEMS_MAX: usize = 200;
/// Maximum rank of an item with a single view.
// Measured on the log taobao, in bytes per user: 1,511 without this limit and the layout byte, 1,136 with both.
const SINGLE_VIEWS_MAX: usize = 32;
/// Maximum size of a name besides its text: kind and length.
pub(super) const NAME_BYTES: usize = 3;
/// Maximum size of the items, in bytes.
pub(crate) const ITEMS_BUDGET_BYTES: usize = 3800;

/// Interaction of the user with one item.
#[derive(Clone, Debug, PartialEq)]
pub struct RecentItem {
    /// Id of the item.
    pub item_id: ItemId,
    /// Newest action on the item.
    pub kind: ActionKind,
    /// Time of the newest action.
    pub at: Timestamp,
    /// Number of actions on the item since it entered the list.
    pub count: u32,
}

/// Recent items, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Recent {
    /// Items, newest at the front.
    touches: VecDeque<RecentItem>,
    /// Byte hashes ([`mark`]) of the item ids, in the same order. A scan over them finds an item without touching the ids,
    /// which are scattered in memory.
    marks: Vec<u8>,
    /// Sum of the items' sizes.
    bytes: usize,
}

impl RecentItem {
    /// Returns whether the only action was a single view, search or click.
    fn is_single_view(&self) -> bool {
        self.count == 1 && matches!(self.kind, ActionKind::View | ActionKind::Search | ActionKind::Click)
    }

    /// Returns the maximum encoded size: the id, the layout byte, a distance of centuries in milliseconds, and a count of
    /// thousands.
    fn bytes(&self) -> usize {
        self.item_id.as_str().len() + NAME_BYTES + 1 + 7 + 2
    }
}

impl Recent {
    /// Returns the items, newest first.
    pub(crate) fn iter(&self) -> vec_deque::Iter<'_, RecentItem> {
        self.touches.iter()
    }

    /// Records an action on an item.
    pub(super) fn touch(&mut self, item_id: &ItemId, kind: ActionKind, at: Timestamp) {
        let mut count = 1;
        let mark = mark(item_id);
        let mut candidates = memchr_iter(mark, &self.marks);
        if let Some(index) = candidates.find(|index| self.touches[*index].item_id == *item_id) {
            let known = &mut self.touches[index];
            known.count = known.count.saturating_add(1);
            count = known.count;
            // Of two actions at one time the later kind wins, so that the order of arrival does not matter.
            if (known.at, known.kind) >= (at, kind) {
                return;
            }
            self.remove(index);
        }
        let is_newer = |touch: &RecentItem| (touch.at, &touch.item_id) > (at, item_id);
        // Events arrive mostly in order, and then the item is the newest: the search is the exception.
        let is_late = self.touches.front().is_some_and(is_newer);
        let index = if is_late { self.touches.partition_point(is_newer) } else { 0 };
        let touch = RecentItem { item_id: item_id.clone(), kind, at, count };
        self.bytes += touch.bytes();
        self.touches.insert(index, touch);
        self.marks.insert(index, mark);
        // Only one item can newly exceed the rank: this one, if it is late, or the one that it pushed back.
        let last = index.max(SINGLE_VIEWS_MAX);
        if self.touches.get(last).is_some_and(RecentItem::is_single_view) {
            self.remove(last);
        }
        while self.touches.len() > RECENT_ITEMS_MAX || self.bytes > ITEMS_BUDGET_BYTES {
            self.remove(self.touches.len() - 1);
        }
    }

    fn remove(&mut self, index: usize) {
        self.bytes -= self.touches.remove(index).map_or(0, |touch| touch.bytes());
        self.marks.remove(index);
    }
}

/// Returns a byte that depends on the whole id.
fn mark(item_id: &ItemId) -> u8 {
    xxh64(item_id.as_str().as_bytes(), 0) as u8
}

impl FromIterator<RecentItem> for Recent {
    fn from_iter<I: IntoIterator<Item = RecentItem>>(touches: I) -> Self {
        let touches: VecDeque<RecentItem> = touches.into_iter().collect();
        let marks = touches.iter().map(|touch| mark(&touch.item_id)).collect();
        let bytes = touches.iter().map(RecentItem::bytes).sum();
        Self { touches, marks, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(recent: &mut Recent, item: usize, kind: ActionKind, second: i64) {
        let item_id = ItemId::parse(&format!("i{item}")).expect("an id");
        recent.touch(&item_id, kind, Timestamp::from_millis(second * 1000));
    }

    #[test]
    fn single_views_are_evicted_before_purchases_and_repeated_views() {
        let mut recent = Recent::default();
        touch(&mut recent, 1000, ActionKind::View, 0);
        touch(&mut recent, 1001, ActionKind::Purchase, 1);
        touch(&mut recent, 1002, ActionKind::View, 2);
        touch(&mut recent, 1002, ActionKind::View, 3);
        for item in 0..100 {
            touch(&mut recent, item, ActionKind::View, 10 + item as i64);
        }
        // Too late to be among the newest.
        touch(&mut recent, 1003, ActionKind::View, 4);
        touch(&mut recent, 1004, ActionKind::AddToCart, 5);
        let kept: Vec<&str> = recent.iter().map(|item| item.item_id.as_str()).collect();
        let expected: Vec<String> = (100 - SINGLE_VIEWS_MAX..100)
            .rev()
            .chain([1004, 1002, 1001])
            .map(|item| format!("i{item}"))
            .collect();
        assert_eq!(kept, expected);
        let rebuilt: Recent = recent.iter().cloned().collect();
        assert_eq!(recent, rebuilt);
    }
}

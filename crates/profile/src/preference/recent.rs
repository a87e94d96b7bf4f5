//! The newest items of a shopper, each once, newest first: bounded by number and by bytes, the oldest gives way. What was looked at once
//! gives way sooner: it says what somebody is after now, and little of what somebody comes back for.

use crate::action::ActionKind;
use crate::id::ItemId;
use crate::time::Timestamp;
use memchr::memchr_iter;
use std::collections::{VecDeque, vec_deque};
use xxhash_rust::xxh64::xxh64;

/// How many items a profile keeps; fewer if their ids are long.
pub const RECENT_ITEMS_MAX: usize = 200;
/// What was only looked at, and once, is kept as long as it is among so many.
const SINGLE_VIEWS_MAX: usize = 32;
/// What a name takes beside its letters at most: what it is, and how long.
pub(super) const NAME_BYTES: usize = 3;
/// How many bytes they may take.
pub(crate) const ITEMS_BUDGET_BYTES: usize = 3800;

/// One item the shopper did something with.
#[derive(Clone, Debug, PartialEq)]
pub struct RecentItem {
    /// The item.
    pub item_id: ItemId,
    /// What was done last.
    pub kind: ActionKind,
    /// When.
    pub at: Timestamp,
    /// How often something was done with it since it is in the list.
    pub count: u32,
}

/// The newest items.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Recent {
    /// What is newest comes in at the front, what is oldest goes at the back.
    touches: VecDeque<RecentItem>,
    /// The [`mark`] of each item's id, in the same order: an item is found by it, since ids themselves lie far from one another.
    marks: Vec<u8>,
    /// What all of them take; follows from them.
    bytes: usize,
}

impl RecentItem {
    /// Whether it was looked at once, and nothing else was done.
    fn is_single_view(&self) -> bool {
        self.count == 1 && matches!(self.kind, ActionKind::View | ActionKind::Search | ActionKind::Click)
    }

    /// What it takes at most: its id, the kind, a distance of centuries in milliseconds, and a count of thousands.
    fn bytes(&self) -> usize {
        self.item_id.as_str().len() + NAME_BYTES + 1 + 7 + 2
    }
}

impl Recent {
    /// Newest first.
    pub(crate) fn iter(&self) -> vec_deque::Iter<'_, RecentItem> {
        self.touches.iter()
    }

    /// Takes note of what was done with an item.
    pub(super) fn touch(&mut self, item_id: &ItemId, kind: ActionKind, at: Timestamp) {
        let mut times = 1;
        let mark = mark(item_id);
        let mut alike = memchr_iter(mark, &self.marks);
        if let Some(place) = alike.find(|place| self.touches[*place].item_id == *item_id) {
            let known = &mut self.touches[place];
            known.count = known.count.saturating_add(1);
            times = known.count;
            // Of two touches of one moment the later kind wins, so that the order of arrival does not matter.
            if (known.at, known.kind) >= (at, kind) {
                return;
            }
            self.remove(place);
        }
        let is_newer = |touch: &RecentItem| (touch.at, &touch.item_id) > (at, item_id);
        // Mostly it is the newest.
        let is_late = self.touches.front().is_some_and(is_newer);
        let place = if is_late { self.touches.partition_point(is_newer) } else { 0 };
        let touch = RecentItem { item_id: item_id.clone(), kind, at, count: times };
        self.bytes += touch.bytes();
        self.touches.insert(place, touch);
        self.marks.insert(place, mark);
        // This one, if it came late, or the one that it has pushed back.
        let last = place.max(SINGLE_VIEWS_MAX);
        if self.touches.get(last).is_some_and(RecentItem::is_single_view) {
            self.remove(last);
        }
        while self.touches.len() > RECENT_ITEMS_MAX || self.bytes > ITEMS_BUDGET_BYTES {
            self.remove(self.touches.len() - 1);
        }
    }

    fn remove(&mut self, place: usize) {
        self.bytes -= self.touches.remove(place).map_or(0, |touch| touch.bytes());
        self.marks.remove(place);
    }
}

/// A byte that depends on the whole id.
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

    fn touched(recent: &mut Recent, item: usize, kind: ActionKind, second: i64) {
        let item_id = ItemId::parse(&format!("i{item}")).expect("an id");
        recent.touch(&item_id, kind, Timestamp::from_millis(second * 1000));
    }

    #[test]
    fn what_was_looked_at_once_gives_way_sooner_than_what_was_had_or_looked_at_again() {
        let mut recent = Recent::default();
        touched(&mut recent, 1000, ActionKind::View, 0);
        touched(&mut recent, 1001, ActionKind::Purchase, 1);
        touched(&mut recent, 1002, ActionKind::View, 2);
        touched(&mut recent, 1002, ActionKind::View, 3);
        for item in 0..100 {
            touched(&mut recent, item, ActionKind::View, 10 + item as i64);
        }
        // Too late to be among the newest.
        touched(&mut recent, 1003, ActionKind::View, 4);
        touched(&mut recent, 1004, ActionKind::AddToCart, 5);
        let kept: Vec<&str> = recent.iter().map(|item| item.item_id.as_str()).collect();
        let expected: Vec<String> =
            (100 - SINGLE_VIEWS_MAX..100).rev().chain([1004, 1002, 1001]).map(|item| format!("i{item}")).collect();
        assert_eq!(kept, expected);
        let again: Recent = recent.iter().cloned().collect();
        assert_eq!(recent, again);
    }
}

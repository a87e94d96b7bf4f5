//! Recent items of a user, each once, newest first: bounded by number and by bytes, the oldest is evicted. Items with a
//! single view are evicted sooner: they show the current intent, but rarely what a user returns to.

use crate::action::ActionKind;
use crate::behavior::index_after_eviction;
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
pub(crate) const ITEMS_BUDGET_BYTES: usize = 5600;

/// Interaction of the user with one item.
#[derive(Clone, Debug, PartialEq)]
pub struct RecentItem {
    /// Id of the item.
    pub item_id: ItemId,
    /// Newest action on the item.
    pub kind: ActionKind,
    /// Time of the newest action.
    pub at: Timestamp,
    /// Number of actions on the item since it entered the list, without those that take an earlier one back.
    pub count: u32,
    /// Other actions on the item, each with its newest time.
    pub earlier: Vec<ActionAt>,
    /// Index of the item's category in the profile; none if unknown or evicted.
    pub(crate) category: Option<u8>,
    /// Index of the item's brand in the profile; none if unknown or evicted.
    pub(crate) brand: Option<u8>,
    /// True if all units that were bought came back.
    pub(crate) is_returned: bool,
}

/// Newest time of one kind of action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionAt {
    /// Kind of the action.
    pub kind: ActionKind,
    /// Time of the newest such action.
    pub at: Timestamp,
}

/// What the user did with an item. A later look changes none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemState {
    /// Looked at, searched, clicked, favoured, reviewed or shared.
    Seen,
    /// In the cart.
    InCart,
    /// Bought, and at least one unit was kept.
    Kept,
    /// Bought, and all units came back.
    Returned,
    /// Removed from the cart.
    Removed,
}

/// Action on an item as it is folded in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Touch<'a> {
    pub(super) item_id: &'a ItemId,
    pub(super) kind: ActionKind,
    pub(super) at: Timestamp,
    pub(super) category: Option<u8>,
    pub(super) brand: Option<u8>,
    /// For a refund: whether all units came back.
    pub(super) is_returned: bool,
}

/// Recent items, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Recent {
    /// Items, newest at the front.
    items: VecDeque<RecentItem>,
    /// Byte hashes ([`mark`]) of the item ids, in the same order. A scan over them finds an item without touching the ids,
    /// which are scattered in memory.
    marks: Vec<u8>,
    /// Sum of the items' sizes.
    bytes: usize,
}

impl RecentItem {
    fn new(touch: Touch<'_>) -> Self {
        Self {
            item_id: touch.item_id.clone(),
            kind: touch.kind,
            at: touch.at,
            count: u32::from(touch.kind.strength() >= 0.0),
            earlier: Vec::new(),
            category: touch.category,
            brand: touch.brand,
            is_returned: touch.is_returned,
        }
    }

    /// Returns the newest time of a kind of action; none if it is not known to have happened.
    pub fn newest_of(&self, kind: ActionKind) -> Option<Timestamp> {
        if self.kind == kind {
            return Some(self.at);
        }
        self.earlier.iter().find(|action| action.kind == kind).map(|action| action.at)
    }

    /// Returns what the user did with the item.
    pub fn state(&self) -> ItemState {
        if self.is_returned {
            return ItemState::Returned;
        }
        if self.newest_of(ActionKind::Purchase).is_some() {
            return ItemState::Kept;
        }
        let added = self.newest_of(ActionKind::AddToCart);
        match self.newest_of(ActionKind::RemoveFromCart) {
            // A favourite that was put back is still liked.
            Some(removed) if added.max(self.newest_of(ActionKind::Favorite)) <= Some(removed) => {
                ItemState::Removed
            }
            _ if added.is_some() => ItemState::InCart,
            _ => ItemState::Seen,
        }
    }

    /// Returns whether the user gave the item back or put it out of the cart: it is no example of what the user likes.
    pub fn is_rejected(&self) -> bool {
        matches!(self.state(), ItemState::Returned | ItemState::Removed)
    }

    /// Folds a further action in, apart from its place in the list.
    fn merge(&mut self, touch: Touch<'_>) {
        self.count = self.count.saturating_add(u32::from(touch.kind.strength() >= 0.0));
        match touch.kind {
            ActionKind::Refund => self.is_returned = touch.is_returned,
            ActionKind::Purchase => self.is_returned = false,
            _ => {}
        }
        // Of two actions at one time the later kind wins, so that the order of arrival does not matter.
        let is_newest = (touch.at, touch.kind) > (self.at, self.kind);
        let other = if is_newest { ActionAt { kind: self.kind, at: self.at } } else { touch.action() };
        if is_newest {
            self.earlier.retain(|action| action.kind != touch.kind);
            (self.kind, self.at) = (touch.kind, touch.at);
        }
        if other.kind != self.kind {
            match self.earlier.iter_mut().find(|action| action.kind == other.kind) {
                Some(known) => known.at = known.at.max(other.at),
                None => self.earlier.push(other),
            }
        }
        let newest_label =
            |known: Option<u8>, label: Option<u8>| if is_newest { label.or(known) } else { known.or(label) };
        self.category = newest_label(self.category, touch.category);
        self.brand = newest_label(self.brand, touch.brand);
    }

    /// Returns whether the only action was a single view, search or click.
    fn is_single_view(&self) -> bool {
        self.count == 1
            && self.earlier.is_empty()
            && matches!(self.kind, ActionKind::View | ActionKind::Search | ActionKind::Click)
    }

    /// Returns the maximum encoded size: the id, the layout byte, a distance of centuries in milliseconds, a count of thousands,
    /// category and brand, and for each earlier action a kind and a distance.
    fn bytes(&self) -> usize {
        let earlier = if self.earlier.is_empty() { 0 } else { 1 + self.earlier.len() * 8 };
        self.item_id.as_str().len() + NAME_BYTES + 1 + 7 + 2 + 2 + earlier
    }
}

impl Touch<'_> {
    fn action(&self) -> ActionAt {
        ActionAt { kind: self.kind, at: self.at }
    }
}

impl Recent {
    /// Returns the items, newest first.
    pub(crate) fn iter(&self) -> vec_deque::Iter<'_, RecentItem> {
        self.items.iter()
    }

    /// Returns the item with this id.
    pub(super) fn find(&self, item_id: &ItemId) -> Option<&RecentItem> {
        self.index_of(item_id, mark(item_id)).map(|index| &self.items[index])
    }

    fn index_of(&self, item_id: &ItemId, mark: u8) -> Option<usize> {
        memchr_iter(mark, &self.marks).find(|index| self.items[*index].item_id == *item_id)
    }

    /// Records an action on an item.
    pub(super) fn touch(&mut self, touch: Touch<'_>) {
        let mark = mark(touch.item_id);
        let item = match self.index_of(touch.item_id, mark) {
            Some(index) => {
                let mut known = self.remove(index);
                known.merge(touch);
                known
            }
            None => RecentItem::new(touch),
        };
        self.insert(item, mark);
        while self.items.len() > RECENT_ITEMS_MAX || self.bytes > ITEMS_BUDGET_BYTES {
            self.remove(self.items.len() - 1);
        }
    }

    fn insert(&mut self, item: RecentItem, mark: u8) {
        let is_newer = |known: &RecentItem| (known.at, &known.item_id) > (item.at, &item.item_id);
        // Events arrive mostly in order, and then the item is the newest: the search is the exception.
        let is_late = self.items.front().is_some_and(is_newer);
        let index = if is_late { self.items.partition_point(is_newer) } else { 0 };
        self.bytes += item.bytes();
        self.marks.insert(index, mark);
        self.items.insert(index, item);
        // Only one item can newly exceed the rank: this one, if it is late, or the one that it pushed back.
        let last = index.max(SINGLE_VIEWS_MAX);
        if self.items.get(last).is_some_and(RecentItem::is_single_view) {
            self.remove(last);
        }
    }

    /// Removes the item at an index of the list.
    fn remove(&mut self, index: usize) -> RecentItem {
        let item = self.items.remove(index).expect("an index of the list");
        self.bytes -= item.bytes();
        self.marks.remove(index);
        item
    }

    /// Adapts the indices of categories to the eviction of the one at `index`.
    pub(super) fn forget_category(&mut self, index: u8) {
        self.items.iter_mut().for_each(|item| item.category = index_after_eviction(item.category, index));
    }

    /// Adapts the indices of brands to the eviction of the one at `index`.
    pub(super) fn forget_brand(&mut self, index: u8) {
        self.items.iter_mut().for_each(|item| item.brand = index_after_eviction(item.brand, index));
    }
}

/// Returns a byte that depends on the whole id.
fn mark(item_id: &ItemId) -> u8 {
    xxh64(item_id.as_str().as_bytes(), 0) as u8
}

impl FromIterator<RecentItem> for Recent {
    fn from_iter<I: IntoIterator<Item = RecentItem>>(items: I) -> Self {
        let items: VecDeque<RecentItem> = items.into_iter().collect();
        let marks = items.iter().map(|item| mark(&item.item_id)).collect();
        let bytes = items.iter().map(RecentItem::bytes).sum();
        Self { items, marks, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(recent: &mut Recent, item: usize, kind: ActionKind, second: i64) {
        let item_id = &ItemId::parse(&format!("i{item}")).expect("an id");
        let at = Timestamp::from_millis(second * 1000);
        let is_returned = kind == ActionKind::Refund;
        recent.touch(Touch { item_id, kind, at, category: None, brand: None, is_returned });
    }

    #[test]
    fn what_happened_with_an_item_outlives_a_later_look() {
        use ActionKind::{AddToCart, Favorite, Purchase, Refund, RemoveFromCart, View};
        let rows: [(&[ActionKind], ItemState); 9] = [
            (&[View], ItemState::Seen),
            (&[AddToCart, View], ItemState::InCart),
            (&[AddToCart, Purchase, View], ItemState::Kept),
            (&[Purchase, Refund, View], ItemState::Returned),
            (&[Purchase, Refund, Purchase], ItemState::Kept),
            (&[AddToCart, RemoveFromCart, View], ItemState::Removed),
            (&[RemoveFromCart, AddToCart], ItemState::InCart),
            (&[AddToCart, RemoveFromCart, Favorite], ItemState::InCart),
            (&[Refund], ItemState::Returned),
        ];
        for (kinds, expected) in rows {
            let mut recent = Recent::default();
            for (second, kind) in kinds.iter().enumerate() {
                touch(&mut recent, 1, *kind, second as i64);
            }
            let states: Vec<ItemState> = recent.iter().map(RecentItem::state).collect();
            assert_eq!(states, [expected], "{kinds:?}");
        }
    }

    #[test]
    fn actions_in_any_order_leave_the_same_item() {
        let actions = [
            (ActionKind::View, 1),
            (ActionKind::AddToCart, 2),
            (ActionKind::View, 3),
            (ActionKind::Share, 0),
        ];
        let folded = |order: [usize; 4]| {
            let mut recent = Recent::default();
            for (kind, second) in order.map(|index| actions[index]) {
                touch(&mut recent, 1, kind, second);
            }
            let item = recent.iter().next().expect("one item").clone();
            let times = ActionKind::ALL.map(|kind| item.newest_of(kind));
            (item.kind, item.at, item.count, times)
        };
        assert_eq!(folded([0, 1, 2, 3]), folded([3, 2, 1, 0]));
        assert_eq!(folded([0, 1, 2, 3]), folded([2, 0, 3, 1]));
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

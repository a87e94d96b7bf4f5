//! The newest items of a shopper, each once, newest first: bounded by number and by bytes, the oldest gives way.

use super::NAME_BYTES;
use crate::action::ActionKind;
use crate::id::ItemId;
use crate::time::Timestamp;
use serde::Deserialize;

/// How many items a profile keeps; fewer if their ids are long.
pub const RECENT_ITEMS_MAX: usize = 200;
/// How many bytes they may take.
pub(crate) const ITEMS_BUDGET_BYTES: usize = 3800;

/// One item the shopper did something with.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub(crate) struct Touch {
    /// The item.
    pub(crate) item_id: ItemId,
    /// What was done last.
    pub(crate) kind: ActionKind,
    /// When.
    pub(crate) at: Timestamp,
}

/// The newest items.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Recent {
    touches: Vec<Touch>,
    /// What all of them take; follows from them.
    bytes: usize,
}

impl Touch {
    /// What it takes at most: its id, the kind, and a distance of centuries in milliseconds.
    fn bytes(&self) -> usize {
        self.item_id.as_str().len() + NAME_BYTES + 1 + 7
    }
}

impl Recent {
    /// Newest first.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Touch> {
        self.touches.iter()
    }

    /// Takes note of what was done with an item.
    pub(super) fn touch(&mut self, item_id: &ItemId, kind: ActionKind, at: Timestamp) {
        if let Some(place) = self.touches.iter().position(|touch| touch.item_id == *item_id) {
            let known = &self.touches[place];
            // Of two touches of one moment the later kind wins, so that the order of arrival does not matter.
            if (known.at, known.kind) >= (at, kind) {
                return;
            }
            self.bytes -= self.touches.remove(place).bytes();
        }
        let place = self.touches.partition_point(|touch| (touch.at, &touch.item_id) > (at, item_id));
        let touch = Touch { item_id: item_id.clone(), kind, at };
        self.bytes += touch.bytes();
        self.touches.insert(place, touch);
        while self.touches.len() > RECENT_ITEMS_MAX || self.bytes > ITEMS_BUDGET_BYTES {
            self.bytes -= self.touches.pop().map_or(self.bytes, |touch| touch.bytes());
        }
    }
}

impl FromIterator<Touch> for Recent {
    fn from_iter<I: IntoIterator<Item = Touch>>(touches: I) -> Self {
        let touches: Vec<Touch> = touches.into_iter().collect();
        let bytes = touches.iter().map(Touch::bytes).sum();
        Self { touches, bytes }
    }
}

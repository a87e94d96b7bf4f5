//! The four dimensions of a profile as plain data: what views and feature vectors are read from. Records are folded in and bytes are
//! made one level up, in the profile.

use crate::basic::Basic;
use crate::behavior::Behavior;
use crate::preference::Preference;
use crate::social::Social;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Everything that a profile's numbers come from. Encoded as its fields, one after the other: nesting adds no byte.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dimensions {
    pub(crate) basic: Basic,
    pub(crate) behavior: Behavior,
    pub(crate) preference: Preference,
    pub(crate) social: Social,
}

impl Dimensions {
    /// Time of the newest event that was folded in.
    pub(crate) fn newest_event_at(&self) -> Option<Timestamp> {
        self.behavior.newest.map(|(at, _)| at)
    }

    /// The moment that a profile is read at: no earlier than its newest event.
    pub(crate) fn read_at(&self, at: Timestamp) -> Timestamp {
        self.newest_event_at().map_or(at, |newest| newest.max(at))
    }
}

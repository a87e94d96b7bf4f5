//! The four dimensions of a profile as plain data, the input of views and feature vectors. Folding and encoding happen one
//! level up, in the profile.

use crate::basic::Basic;
use crate::behavior::Behavior;
use crate::preference::Preference;
use crate::social::Social;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// All data that features and views are computed from. Encoded as its fields in sequence: the nesting adds no byte.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dimensions {
    pub(crate) basic: Basic,
    pub(crate) behavior: Behavior,
    pub(crate) preference: Preference,
    pub(crate) social: Social,
}

impl Dimensions {
    /// Returns the time of the newest folded event.
    pub(crate) fn newest_event_at(&self) -> Option<Timestamp> {
        self.behavior.newest.map(|(at, _)| at)
    }

    /// Returns the time at which a profile is read: `at`, but no earlier than its newest event.
    pub(crate) fn read_at(&self, at: Timestamp) -> Timestamp {
        // Sums decay forward only: before the newest event the stored value is all there is.
        self.newest_event_at().map_or(at, |newest| newest.max(at))
    }
}

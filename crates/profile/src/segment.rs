//! Segment ids, model versions, and the segment of a user. A segment keeps its id through every retraining as long as most
//! of its users stay the same; ids are never reused.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU64;

/// Id of a segment, stable across models.
///
/// ```
/// use portrait_profile::SegmentId;
///
/// assert_eq!(SegmentId::new(7).to_string(), "s7");
/// assert_eq!(SegmentId::parse("s7"), Some(SegmentId::new(7)));
/// assert_eq!(SegmentId::parse("7"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SegmentId(u32);

/// Version of a published model; increases by one with each model and never restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelVersion(NonZeroU64);

/// Segment of a user. It is derived from profile and model; a rebuild from the log may differ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentMembership {
    /// Id of the segment.
    pub segment_id: SegmentId,
    /// Euclidean distance to the centroid in scaled components, when the user was last assigned.
    pub distance: f32,
    /// Version of the model that assigned the user.
    pub model_version: ModelVersion,
    /// Time since which the user is in the segment without interruption, by the clock that profiles are read by.
    pub since: Timestamp,
}

impl SegmentId {
    /// Builds the id from its number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number of the segment.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Parses a text that [`fmt::Display`] wrote; none for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('s')?;
        // `parse` alone would accept a sign.
        let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| is_plain).map(Self)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl ModelVersion {
    /// Version of the first model.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// Builds the version from its number; none for 0.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// Returns the number, from 1.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// Returns the following version.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_id_survives_a_round_trip() {
        for number in [0, 7, u32::MAX] {
            let id = SegmentId::new(number);
            assert_eq!(SegmentId::parse(&id.to_string()), Some(id));
        }
        for text in ["", "s", "7", "s-1", "s+1", "s 1", "s4294967296", "S1"] {
            assert_eq!(SegmentId::parse(text), None, "{text}");
        }
    }
}

//! Which segment a shopper is in, and which model said so. A segment keeps its id through every retrain as long as it is the
//! same people; ids are never given to another segment.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU64;

/// A segment of shoppers, for as long as it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SegmentId(u32);

/// A published model; grows by one with each and never restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelVersion(NonZeroU64);

/// A shopper's place in a segment. Derived from profile and model: a rebuild from the log need not give the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentMembership {
    /// The segment.
    pub segment_id: SegmentId,
    /// Euclidean distance to its centroid in scaled components, when the shopper was last assigned.
    pub distance: f32,
    /// The model that assigned the shopper.
    pub model_version: ModelVersion,
    /// Since when the shopper is in this segment without a break, by the clock that profiles are read by.
    pub since: Timestamp,
}

impl SegmentId {
    /// The segment of a number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The id of a text that [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('s')?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| plain).map(Self)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl ModelVersion {
    /// The first version.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The version of a number; none for 0.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number, from 1.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The version after.
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
    fn a_segment_is_read_as_it_is_written() {
        for number in [0, 7, u32::MAX] {
            let id = SegmentId::new(number);
            assert_eq!(SegmentId::parse(&id.to_string()), Some(id));
        }
        for text in ["", "s", "7", "s-1", "s+1", "s 1", "s4294967296", "S1"] {
            assert_eq!(SegmentId::parse(text), None, "{text}");
        }
    }
}

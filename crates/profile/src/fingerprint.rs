//! Eight bytes that prove which records a profile was made of: the wrapping sum of XXH64 (seed 0) of their record ids.
//! The sum does not depend on the order; a record without an id adds nothing and is only counted.

use crate::id::RecordId;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

/// The wrapping sum over all applied record ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The sum with `record_id` added.
    pub fn with(self, record_id: &RecordId) -> Self {
        Self(self.0.wrapping_add(xxh64(record_id.as_str().as_bytes(), 0)))
    }

    /// The sum.
    pub const fn get(self) -> u64 {
        self.0
    }
}

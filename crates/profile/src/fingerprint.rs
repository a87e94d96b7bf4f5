//! Fingerprint of the records in a profile: the wrapping sum of XXH64 (seed 0) over their record ids, in eight bytes. The
//! sum does not depend on the order; a record without an id adds nothing and is only counted.

use crate::id::RecordId;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

/// Wrapping sum over the ids of all applied records.
///
/// ```
/// use portrait_profile::{Fingerprint, RecordId};
///
/// let first = RecordId::parse("e1")?;
/// let second = RecordId::parse("e2")?;
/// let fingerprint = Fingerprint::default().with(&first).with(&second);
/// assert_eq!(fingerprint, Fingerprint::default().with(&second).with(&first));
/// # Ok::<(), portrait_profile::TextError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Returns the sum with `record_id` added.
    pub fn with(self, record_id: &RecordId) -> Self {
        Self(self.0.wrapping_add(xxh64(record_id.as_str().as_bytes(), 0)))
    }

    /// Returns the wrapped number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

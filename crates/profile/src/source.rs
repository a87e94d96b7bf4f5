//! Sources of records: files, tables and streams whose rows have ids that hold for ever, not just within the de-duplication window.

use crate::id::{TextError, check_new_id, check_text};
use crate::time::{TimeDelta, Timestamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

/// Maximum length of the name of a source, in bytes of UTF-8.
pub const SOURCE_NAME_MAX_BYTES: usize = 64;

/// Source of a record: the XXH64 (seed 0) of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceId(u64);

/// Ids of a source on one day: a set of its own in the ledger of sources, so that a lookup reads the ids of that day alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceDay {
    /// Source of the records.
    pub source: SourceId,
    /// Day on which they occurred in UTC, from 1970-01-01; days before it are day 0.
    pub day: u32,
}

impl SourceId {
    /// Returns the source of this name.
    ///
    /// ```
    /// use portrait_profile::{SourceId, TextError};
    ///
    /// assert_eq!(SourceId::parse("rees46")?, SourceId::parse("rees46")?);
    /// assert_ne!(SourceId::parse("rees46")?, SourceId::parse("orders")?);
    /// assert_eq!(SourceId::parse(" rees46"), Err(TextError::OuterSpace));
    /// # Ok::<(), TextError>(())
    /// ```
    ///
    /// # Errors
    /// If the name is empty, longer than [`SOURCE_NAME_MAX_BYTES`] or not printable.
    pub fn parse(name: &str) -> Result<Self, TextError> {
        check_text(name, SOURCE_NAME_MAX_BYTES)?;
        check_new_id(name)?;
        Ok(Self(xxh64(name.as_bytes(), 0)))
    }

    /// Returns the 64 bits of the hash.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the set of the records that occurred on the day of `at`.
    pub fn on_day_of(self, at: Timestamp) -> SourceDay {
        let day = at.millis().max(0) / TimeDelta::from_days(1).millis();
        SourceDay { source: self, day: u32::try_from(day).unwrap_or(u32::MAX) }
    }
}

impl SourceDay {
    /// Returns the encoded set, from which keys of stores are made.
    pub fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.source.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.day.to_be_bytes());
        bytes
    }
}

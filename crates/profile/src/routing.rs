//! Which partition a shopper belongs to: XXH64 (seed 0) of the raw user id, modulo the number of partitions, which is
//! fixed when a store is created. Every client and every service must agree on it.

use crate::id::{RecordId, UserId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU16;
use xxhash_rust::xxh64::xxh64;

/// How many partitions a store has.
///
/// ```
/// use portrait_profile::{PartitionCount, UserId};
///
/// let partitions = PartitionCount::new(64).unwrap();
/// let partition = partitions.partition_of(&UserId::parse("lena")?);
/// // The same for every process and every release.
/// assert_eq!(partitions.partition(partition.get().into()), Some(partition));
/// assert_eq!(partitions.all().count(), 64);
/// assert_eq!(PartitionCount::new(0), None);
/// # Ok::<(), portrait_profile::TextError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionCount(NonZeroU16);

/// One partition, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId(u16);

/// What de-duplication remembers of a record: 63 bits of the XXH64 of user id and record id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeenId(u64);

impl PartitionCount {
    /// `count` partitions; none if it is 0.
    pub fn new(count: u16) -> Option<Self> {
        NonZeroU16::new(count).map(Self)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// The partition of a shopper.
    pub fn partition_of(self, user_id: &UserId) -> PartitionId {
        let hash = xxh64(user_id.as_str().as_bytes(), 0);
        PartitionId((hash % u64::from(self.get())) as u16)
    }

    /// The partition of that number, if there is one.
    pub fn partition(self, number: u32) -> Option<PartitionId> {
        u16::try_from(number).ok().filter(|number| *number < self.get()).map(PartitionId)
    }

    /// Every partition in order.
    pub fn all(self) -> impl Iterator<Item = PartitionId> + Clone {
        (0..self.get()).map(PartitionId)
    }
}

impl PartitionId {
    /// The number, from 0.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The number as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl SeenId {
    /// What is remembered of a record of `user_id` with `record_id`. The user is the seed, so that equal record ids of two
    /// users stay apart.
    pub fn of(user_id: &UserId, record_id: &RecordId) -> Self {
        let user_hash = xxh64(user_id.as_str().as_bytes(), 0);
        Self(xxh64(record_id.as_str().as_bytes(), user_hash) & (u64::MAX >> 1))
    }

    /// The 63 bits.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// From bits that [`Self::get`] gave; the highest is dropped.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & (u64::MAX >> 1))
    }
}

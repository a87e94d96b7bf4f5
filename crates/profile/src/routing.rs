//! Routing of users to partitions: XXH64 (seed 0) of the user id, modulo the number of partitions, which is fixed when a
//! store is created. Every client and every service must agree on it.

use crate::id::{RecordId, UserId};
use crate::pseudonym::Pseudonym;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU16;
use xxhash_rust::xxh64::xxh64;

/// Number of partitions of a store.
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

/// Number of one partition, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId(u16);

/// Identity of a record for de-duplication: 63 bits of the XXH64 of user id and record id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeenId(u64);

impl PartitionCount {
    /// Builds a count; none if it is 0.
    pub fn new(count: u16) -> Option<Self> {
        NonZeroU16::new(count).map(Self)
    }

    /// Returns the number of partitions.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// Returns the partition of a user.
    pub fn partition_of(self, user_id: &UserId) -> PartitionId {
        // Modulo, not a ring: the number of partitions is fixed for the life of a store.
        let hash = xxh64(user_id.as_str().as_bytes(), 0);
        PartitionId((hash % u64::from(self.get())) as u16)
    }

    /// Returns the partition that coordinates the erasures of a user: there the tombstone expires first, after all partitions
    /// are done. Each partition can tell it from the tombstone alone.
    pub fn coordinator_of(self, pseudonym: &Pseudonym) -> PartitionId {
        self.partition_of(&pseudonym.as_user_id())
    }

    /// Returns the partition of that number; none if it is not below the count.
    pub fn partition(self, number: u32) -> Option<PartitionId> {
        u16::try_from(number).ok().filter(|number| *number < self.get()).map(PartitionId)
    }

    /// Returns all partitions in order.
    pub fn all(self) -> impl Iterator<Item = PartitionId> + Clone {
        (0..self.get()).map(PartitionId)
    }
}

impl PartitionId {
    /// Returns the number, from 0.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Returns the number as an index.
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
    /// Hashes the ids of a record. The hash of the user id is the seed, so that equal record ids of two users stay
    /// distinct.
    pub fn of(user_id: &UserId, record_id: &RecordId) -> Self {
        // Not the concatenation of both ids, in which the pairs ("a", "bc") and ("ab", "c") would collide.
        let user_hash = xxh64(user_id.as_str().as_bytes(), 0);
        Self(xxh64(record_id.as_str().as_bytes(), user_hash) & (u64::MAX >> 1))
    }

    /// Returns the 63 bits.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Builds an id from the bits of [`Self::get`]; the highest bit is dropped.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & (u64::MAX >> 1))
    }
}

//! Logs of the partitions: what ingest appends and the owners read, and how far each partition is.

use super::info::{AckLevel, StoreInfo};
use crate::error::Result;
use crate::position::{CommitNo, FeedSeq, Generations, LeaseToken, LogPosition, LogSeq};
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Timestamp};
use std::time::Duration;

/// Appends to the logs of the partitions, reads of them, and the state of each partition.
#[async_trait]
pub trait LogStore: StoreInfo {
    /// Appends records to a partition's log as one entry and returns when `level` is reached.
    ///
    /// MUST give them contiguous places right after the newest record, and all of them or none. MUST NOT acknowledge what a
    /// failure of the kind that `level` names could lose. MUST fail with `Full` while there is no room, leaving room for
    /// commits and trims. MAY group appends of several callers into one write. `arrived_at` is what trimming goes by.
    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
        arrived_at: Timestamp,
        level: AckLevel,
    ) -> Result<Appended>;

    /// Reads records after `after`, at most `max_records` and about `max_bytes`, at least one if there is one.
    ///
    /// MUST NOT skip a place: fails with `Trimmed` if the next one is gone. If there is none, waits up to `wait` for one and
    /// MAY return an empty page earlier. MUST NOT return records that are not acknowledged at their level yet, unless whatever
    /// can lose such a record also loses every commit made after it, and begins a new generation.
    async fn read_log(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_records: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<LogPage>;

    /// The partition's state. MUST be at least as new as any commit or append acknowledged before the call.
    async fn meta(&self, partition: PartitionId) -> Result<PartitionMeta>;

    /// Waits up to `wait` until `applied_through` is at least `seq`, and returns the state it then has, reached or not.
    async fn wait_applied(
        &self,
        partition: PartitionId,
        seq: LogSeq,
        wait: Duration,
    ) -> Result<PartitionMeta>;
}

/// What an append gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Place of the first record.
    pub first: LogSeq,
    /// Place of the last record.
    pub last: LogPosition,
    /// How far the partition is applied, for back-pressure.
    pub applied_through: LogSeq,
}

/// A stretch of a log.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// The records, contiguous, the first right after the place asked for.
    pub records: Vec<LogRecord>,
}

/// One record of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its place.
    pub seq: LogSeq,
    /// What was appended.
    pub value: Bytes,
}

/// The state of a partition that is not profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMeta {
    /// Who owns it, if anybody ever did; the lease may have expired.
    pub token: Option<LeaseToken>,
    /// Its newest commit.
    pub commit_no: CommitNo,
    /// Records up to here are applied.
    pub applied_through: LogSeq,
    /// The newest record.
    pub log_end: LogSeq,
    /// The oldest record that is kept, or the next one if none is.
    pub log_first: LogSeq,
    /// The log's generations.
    pub log_generations: Generations<LogSeq>,
    /// The newest change.
    pub feed_end: FeedSeq,
    /// The oldest change that is kept, or the next one if none is.
    pub feed_first: FeedSeq,
    /// The feed's generations.
    pub feed_generations: Generations<FeedSeq>,
    /// The newest event time that was committed, for a deployment whose clock follows the events.
    pub clock: Timestamp,
    /// What was counted since the beginning.
    pub counters: Counters,
    /// What the owner noted in its newest commit with a note; empty before the first.
    pub note: Bytes,
}

/// What the commits of a partition count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// Records that changed a profile.
    pub applied: u64,
    /// Records dropped as duplicates.
    pub duplicates: u64,
    /// Records set aside.
    pub dead_letters: u64,
    /// Events too late for sessions and transitions.
    pub late: u64,
    /// Records dropped because their shopper was erased after they occurred.
    #[serde(skip)]
    pub blocked: u64,
}

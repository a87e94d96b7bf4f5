//! Logs of the partitions: ingest appends, owners read. And the state of each partition.

use super::info::{AckLevel, StoreInfo};
use crate::error::Result;
use crate::position::{CommitNo, FeedSeq, Generations, LeaseToken, LogPosition, LogSeq};
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Appends to and reads of the partitions' logs, and the state of each partition.
#[async_trait]
pub trait LogStore: StoreInfo {
    /// Appends records to a partition's log as one block and returns when `level` is reached.
    ///
    /// MUST append all of them or none, at contiguous positions right after the newest record. MUST NOT acknowledge records that
    /// a failure of the kind named by `level` could lose. MUST fail with `Full` while space is short, and leave enough of it for
    /// commits and trims. MAY group appends of several callers into one write. Trimming goes by `arrived_at`.
    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
        arrived_at: Timestamp,
        level: AckLevel,
    ) -> Result<Appended>;

    /// Returns records after `after`, at most `max_records` and about `max_bytes`, at least one if there is one.
    ///
    /// MUST NOT skip a position: fails with `Trimmed` if the next record is trimmed. Without a record, waits up to `wait` for
    /// one; MAY return an empty page earlier. MUST NOT return records that are not acknowledged at their level yet, unless every
    /// failure that loses such a record also loses all commits made after it, and begins a new generation.
    async fn read_log(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_records: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<LogPage>;

    /// Returns the partition's state. MUST be at least as new as any commit or append acknowledged before the call.
    async fn meta(&self, partition: PartitionId) -> Result<PartitionMeta>;

    /// Waits up to `wait` until `applied_through` is at least `seq`, and returns the state after that, reached or not.
    async fn wait_applied(
        &self,
        partition: PartitionId,
        seq: LogSeq,
        wait: Duration,
    ) -> Result<PartitionMeta>;
}

/// Result of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Position of the first record.
    pub first: LogSeq,
    /// Position of the last record.
    pub last: LogPosition,
    /// Newest applied record of the partition, for back-pressure.
    pub applied_through: LogSeq,
}

/// Page of a partition's log.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// Records, contiguous, beginning right after the requested position.
    pub records: Vec<LogRecord>,
}

/// Record of a log with its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Position in the log.
    pub seq: LogSeq,
    /// Bytes as they were appended.
    pub value: Bytes,
}

/// State of a partition without its profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMeta {
    /// Token of the newest owner; none before the first. The lease may have expired.
    pub token: Option<LeaseToken>,
    /// Name of the newest owner, if it is known.
    pub holder: Option<Arc<str>>,
    /// Number of the newest commit.
    pub commit_no: CommitNo,
    /// Newest applied record (inclusive).
    pub applied_through: LogSeq,
    /// Newest record of the log.
    pub log_end: LogSeq,
    /// Oldest retained record, or the next one if there is none.
    pub log_first: LogSeq,
    /// Size of the retained log in bytes, as encoded blocks. Exact, unless a release that does not count appended or trimmed some
    /// of it: then the mean size of the counted records stands for the others, and without any it is 0.
    pub log_bytes: u64,
    /// Generations of the log.
    pub log_generations: Generations<LogSeq>,
    /// Newest change of the feed.
    pub feed_end: FeedSeq,
    /// Oldest retained change, or the next one if there is none.
    pub feed_first: FeedSeq,
    /// Generations of the feed.
    pub feed_generations: Generations<FeedSeq>,
    /// Newest event time that was committed, for a deployment whose clock follows the events.
    pub clock: Timestamp,
    /// Totals since the creation of the partition.
    pub counters: Counters,
    /// Note of the newest commit that had one; empty before the first.
    pub note: Bytes,
}

/// Counters of a partition, added up over its commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// Records that changed a profile.
    pub applied: u64,
    /// Records dropped as duplicates.
    pub duplicates: u64,
    /// Records moved to the dead letters.
    pub dead_letters: u64,
    /// Events too late for sessions and transitions.
    pub late: u64,
    /// Records dropped because their user was erased after they occurred. Stored beside the other counters, not with them: the
    /// previous format has four.
    #[serde(skip)]
    pub blocked: u64,
    /// Records of a source, whose ids are kept for ever; stored as `blocked`.
    #[serde(skip)]
    pub sourced: u64,
}

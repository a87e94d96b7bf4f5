//! Steps of a partition's owner: the lease, the commit that is one atomic step, the ids that were seen, and what is forgotten.

use super::info::StoreInfo;
use super::log::Counters;
use super::profiles::ProfileKey;
use crate::error::Result;
use crate::position::{CommitNo, FeedSeq, LeaseToken, LogSeq, Nonce};
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Pseudonym, SeenId, Span, Timestamp};

/// Calls that a partition's owner makes; the commit is fenced by its token.
#[async_trait]
pub trait OwnerStore: StoreInfo {
    /// Takes the partition if nobody's lease on it is running, or if `nonce` has it already, for `ttl`.
    ///
    /// MUST give a token with a higher epoch than any before, unless `nonce` has the lease. MUST return none while another's
    /// lease runs. MUST fence every older token from then on. `now` is the caller's clock; MAY use a clock of its own.
    async fn acquire(
        &self,
        partition: PartitionId,
        nonce: Nonce,
        ttl: Span,
        now: Timestamp,
    ) -> Result<Option<LeaseToken>>;

    /// Extends a lease. MUST return false, and change nothing, if the token is not the partition's.
    async fn renew(
        &self,
        partition: PartitionId,
        token: LeaseToken,
        ttl: Span,
        now: Timestamp,
    ) -> Result<bool>;

    /// Ends a lease early, so that the next owner need not wait. MUST ignore a token that is not the partition's.
    async fn release(&self, partition: PartitionId, token: LeaseToken) -> Result<()>;

    /// Which of `ids` were committed as seen, in their order.
    ///
    /// MUST find an id committed with an `arrived_at` of up to [`Layout::dedup_window`] before the query's, and MAY find it up
    /// to twice as long.
    async fn seen(&self, partition: PartitionId, ids: &[SeenQuery]) -> Result<Vec<bool>>;

    /// Does everything in `commit`, or nothing.
    ///
    /// MUST compare the whole token and `expected` with the partition's and fail with `Fenced` if either differs. A room that
    /// begins a generation of the log while owners live on MUST end their leases with it, and fence their tokens: they may have
    /// read records that are lost, in whose places others are now. MUST add one
    /// to `commit_no`, also if the commit has nothing but `applied_through`. MUST give changes contiguous places. MUST wake
    /// those who wait for `applied_through` or for changes. MUST work while appends are refused for want of room. Need not
    /// reach the disk: what a loss takes from it is done again from the log, in a new generation.
    async fn commit(&self, partition: PartitionId, commit: Commit) -> Result<Committed>;

    /// Forgets what may be forgotten, in bounded steps; MAY leave some for the next call. MUST NOT trim a record that is not
    /// applied or the newest places' numbering. MUST drop de-duplication windows whole, and only those that no query of
    /// `now` or later can ask for. MUST drop a dead letter with the record that it was, and none before it.
    async fn trim(&self, partition: PartitionId, what: Trim) -> Result<Trimmed>;

    /// Writes the store's own files anew, so that nothing is left in them of what was deleted or trimmed before the call. MAY
    /// take as long as that takes, and MAY serve several callers by one; others MUST be able to read and write meanwhile. MUST
    /// fail with `Incompatible` if whoever keeps the files cannot be asked to.
    async fn rewrite_files(&self) -> Result<()>;

    /// Dead letters after `after`, oldest first, at most `max_letters`.
    async fn dead_letters(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_letters: usize,
    ) -> Result<Vec<DeadLetter>>;
}

/// A question to the de-duplication windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenQuery {
    /// The record's.
    pub id: SeenId,
    /// When ingest took the record; decides the windows that are searched.
    pub arrived_at: Timestamp,
}

/// Everything one step changes in a partition. All of it happens or nothing.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The owner's token; compared as a whole.
    pub token: LeaseToken,
    /// The newest commit the owner knows; compared.
    pub expected: CommitNo,
    /// Records up to here are applied now. Never less than before.
    pub applied_through: LogSeq,
    /// The newest event time known now. Never less than before.
    pub clock: Timestamp,
    /// When, by the owner's clock; feed entries and dead letters are trimmed by it.
    pub at: Timestamp,
    /// Profiles to write; without a value, to delete.
    pub profiles: Vec<(ProfileKey, Option<Bytes>)>,
    /// Tombstones to write; without a value, to delete.
    pub tombstones: Vec<(Pseudonym, Option<Bytes>)>,
    /// Ids to remember.
    pub seen: Vec<SeenQuery>,
    /// Changes to append to the feed.
    pub changes: Vec<Bytes>,
    /// Records to set aside.
    pub dead_letters: Vec<DeadLetter>,
    /// What to add to the counters.
    pub counted: Counters,
    /// The owner's own note about the partition, in place of the one before; none keeps that.
    pub note: Option<Bytes>,
}

/// A record that could not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its place in the log.
    pub seq: LogSeq,
    /// Why, for a person.
    pub reason: String,
    /// The record as it was.
    pub record: Bytes,
}

/// What a commit gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its number.
    pub commit_no: CommitNo,
    /// The newest change after it.
    pub feed_end: FeedSeq,
}

/// What may be forgotten.
#[derive(Clone, Copy, Debug)]
pub struct Trim {
    /// The caller's clock.
    pub now: Timestamp,
    /// Log entries that are applied and older than this. Records that are not applied are never trimmed.
    pub log_before: Timestamp,
    /// Feed entries older than this.
    pub feed_before: Timestamp,
}

/// What [`OwnerStore::trim`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Records of the log.
    pub log_records: u64,
    /// Changes of the feed.
    pub changes: u64,
    /// De-duplication windows, whole.
    pub seen_windows: u64,
}

//! Operations of a partition's owner: leases, atomic commits, de-duplication lookups and trims.

use super::info::StoreInfo;
use super::lease::{Acquisition, LeaseClaim};
use super::log::Counters;
use super::profiles::ProfileKey;
use crate::error::Result;
use crate::position::{CommitNo, FeedSeq, LeaseToken, LogSeq};
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Pseudonym, SeenId, SourceDay, TimeDelta, Timestamp};

/// Operations of a partition's owner; commits are fenced by the owner's token.
#[async_trait]
pub trait OwnerStore: StoreInfo {
    /// Acquires the partition's lease for `ttl` if no lease is running, the claim's nonce holds it already, or the claim takes it
    /// back from an earlier process of its name.
    ///
    /// MUST return a token with a higher epoch than any before, unless the nonce holds the lease. MUST return `Held` while the
    /// lease of another owner runs, unless [`LeaseClaim::may_end_lease_of`] its name. MUST fence every older token from then on.
    /// MUST fail with `TooBig` for a name longer than [`super::MEMBER_NAME_MAX`]. `now` is the caller's clock; MAY use a clock of
    /// its own. MAY forget the name of a holder, whose lease then runs to its end.
    async fn acquire(
        &self,
        partition: PartitionId,
        claim: &LeaseClaim,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<Acquisition>;

    /// Extends a lease by `ttl` from `now`. MUST return false, and change nothing, if the token is not the partition's.
    async fn renew(
        &self,
        partition: PartitionId,
        token: LeaseToken,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<bool>;

    /// Ends a lease early, so that the next owner does not have to wait. MUST ignore a token that is not the partition's.
    async fn release(&self, partition: PartitionId, token: LeaseToken) -> Result<()>;

    /// Returns for each of `ids`, in their order, whether it was committed as seen.
    ///
    /// MUST find an id committed with an `arrived_at` of up to [`Layout::dedup_window`] before the query's; MAY find it for up to
    /// twice as long. MUST find an id that was committed with the same source and day, whenever that was, and MUST NOT find it by
    /// another source or day alone.
    async fn seen(&self, partition: PartitionId, ids: &[SeenQuery]) -> Result<Vec<bool>>;

    /// Applies everything in `commit`, or nothing.
    ///
    /// MUST compare the whole token and `expected` with the partition's and fail with `Fenced` if either differs. A backend that
    /// begins a generation of the log while owners live MUST end their leases and fence their tokens: they may have read records
    /// that are lost and whose positions were assigned again. MUST add one to `commit_no`, even if the commit has nothing but
    /// `applied_through`. MUST assign contiguous positions to changes. MUST wake the readers that wait for `applied_through` or
    /// for changes. MUST work while appends are refused for lack of space. Need not reach the disk: a lost commit is repeated from
    /// the log, in a new generation.
    async fn commit(&self, partition: PartitionId, commit: Commit) -> Result<Committed>;

    /// Removes expired data, in bounded steps; MAY leave some for the next call, and MUST set [`Trimmed::more`] then. MUST NOT trim
    /// a record that is not applied, and MUST keep the numbering. MUST drop de-duplication windows whole, and only those that no
    /// query at `now` or later reads; never the ledger of a source. MUST drop a dead letter with its record, and none before it. MUST trim whole blocks, and no
    /// block more than `log_bytes_max` demands.
    async fn trim(&self, partition: PartitionId, what: Trim) -> Result<Trimmed>;

    /// Returns the use of the store's space. A backend on several servers MUST return that of the fullest server.
    async fn space(&self) -> Result<StoreSpace>;

    /// Rewrites the store's files, so that they hold nothing that was deleted or trimmed before the call. MAY take long, and MAY
    /// serve several callers by one run; reads and writes MUST go on during a run. MUST fail with `Incompatible` if the backend
    /// cannot request a rewrite.
    async fn rewrite_files(&self) -> Result<()>;

    /// Returns dead letters after `after`, oldest first, at most `max_letters`.
    async fn dead_letters(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_letters: usize,
    ) -> Result<Vec<DeadLetter>>;
}

/// Id to look up in, or to add to, the de-duplication windows, and the ledger of its source if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenQuery {
    /// Id of the record.
    pub id: SeenId,
    /// Time at which ingest accepted the record; selects the windows to search.
    pub arrived_at: Timestamp,
    /// Set of the ledger of sources that keeps the id for ever, in at most 8 bytes and what the store needs to find it.
    pub source_day: Option<SourceDay>,
}

/// Atomic change of a partition: all of it is applied, or nothing.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Token of the owner; compared as a whole.
    pub token: LeaseToken,
    /// Newest commit known to the owner; compared.
    pub expected: CommitNo,
    /// Newest record applied after the commit. Never decreases.
    pub applied_through: LogSeq,
    /// Newest event time after the commit. Never decreases.
    pub clock: Timestamp,
    /// Time of the commit by the owner's clock; feed entries are trimmed by it.
    pub at: Timestamp,
    /// Profiles to write; an absent value deletes the profile.
    pub profiles: Vec<(ProfileKey, Option<Bytes>)>,
    /// Tombstones to write; an absent value deletes the tombstone.
    pub tombstones: Vec<(Pseudonym, Option<Bytes>)>,
    /// Ids to add to the de-duplication windows and the ledgers of their sources.
    pub seen: Vec<SeenQuery>,
    /// Changes to append to the feed.
    pub changes: Vec<Bytes>,
    /// Records to add to the dead letters.
    pub dead_letters: Vec<DeadLetter>,
    /// Amounts to add to the counters.
    pub counted: Counters,
    /// Note of the owner about the partition, which replaces the previous one; none keeps the previous one.
    pub note: Option<Bytes>,
}

/// Record that could not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Position of the record in the log.
    pub seq: LogSeq,
    /// Reason of the failure, for a person.
    pub reason: String,
    /// Bytes of the record as appended.
    pub record: Bytes,
}

/// Result of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Number of the commit.
    pub commit_no: CommitNo,
    /// Newest change of the feed after the commit.
    pub feed_end: FeedSeq,
}

/// Bounds of a trim.
#[derive(Clone, Copy, Debug)]
pub struct Trim {
    /// Current time by the caller's clock.
    pub now: Timestamp,
    /// Applied records that arrived before this time are trimmed. Records that are not applied are never trimmed.
    pub log_before: Timestamp,
    /// Applied records are trimmed too, oldest first, while the partition's log is larger than this many bytes; none for no bound.
    pub log_bytes_max: Option<u64>,
    /// Changes committed before this time are trimmed.
    pub feed_before: Timestamp,
}

/// Amounts that [`OwnerStore::trim`] removed, and the log that is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Number of records of the log.
    pub log_records: u64,
    /// Number of changes of the feed.
    pub changes: u64,
    /// Number of whole de-duplication windows.
    pub seen_windows: u64,
    /// Size of the log that is left in bytes; see [`PartitionMeta::log_bytes`](super::log::PartitionMeta::log_bytes).
    pub log_bytes: u64,
    /// Arrival of the oldest retained record; none without a record, and while `more` is set.
    pub log_oldest_at: Option<Timestamp>,
    /// True if a bound of the call ended it: the next call removes more.
    pub more: bool,
}

/// Use of a store's space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreSpace {
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes in use at which appends are refused; none if the backend does not know.
    pub capacity_bytes: Option<u64>,
}

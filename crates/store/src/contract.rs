//! The contract of a store: what every room MUST and MAY do. Values are opaque bytes; a store knows positions, tokens and
//! times, not profiles. The conformance suite (`tests/conformance.rs`) holds every room to this page.

mod attendance;
mod pages;
mod registry;

pub use attendance::{WORKER_NAME_MAX, WORKERS_MAX, Worker};
pub use pages::{FeedPage, ItemPage, ProfilePage, ScanCursor, TombstonePage};
pub use registry::{PartName, PublishedModel, Registry, RegistryChange};

use crate::error::Result;
use crate::position::{CommitNo, FeedSeq, Generations, LeaseToken, LogPosition, LogSeq, Nonce, RegistryNo};
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{
    PartitionCount, PartitionId, Pseudonym, PseudonymKey, SeenId, Span, Timestamp, UserId,
};
use std::time::Duration;

/// What was fixed when the store was created. A process that expects something else is refused at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How many partitions there are.
    pub partitions: PartitionCount,
    /// For how long a record's id is remembered, at least; at most twice as long.
    pub dedup_window: Span,
    /// Under which key erased shoppers are named; drawn at creation. Whoever lost it could tell no erased shopper again.
    pub pseudonym_key: PseudonymKey,
}

/// What one call may carry. A caller MUST stay within; a store MUST answer [`crate::Error::TooBig`] otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records of one append.
    pub append_records: usize,
    /// Bytes of all records of one append.
    pub append_bytes: usize,
    /// Profiles of one commit, and tombstones of one.
    pub commit_profiles: usize,
    /// Bytes of all values of one commit.
    pub commit_bytes: usize,
    /// Ids, keys or items of one lookup, upsert or page.
    pub page_items: usize,
    /// Dead letters kept for a partition; the oldest give way.
    pub dead_letters: usize,
    /// Bytes of one part of a model, and of all manifests.
    pub part_bytes: usize,
}

/// When an append counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AckLevel {
    /// The store has it: it survives the death of every process of Portrait. A room of its own servers MAY lose it with one of
    /// them.
    Memory,
    /// It is on disk: it survives the loss of power.
    Disk,
    /// Other machines have it too, all that may take over: it survives the loss of the machine. A room without replicas MUST
    /// refuse it as `Incompatible`: no fewer copies are passed off as this.
    Replica,
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

/// The key of a profile: bytes that name one shopper. Its order means nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileKey(pub Bytes);

impl ProfileKey {
    /// The key of a shopper's profile.
    pub fn of(user_id: &UserId) -> Self {
        Self(Bytes::copy_from_slice(user_id.as_str().as_bytes()))
    }
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

/// What [`Store::trim`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Records of the log.
    pub log_records: u64,
    /// Changes of the feed.
    pub changes: u64,
    /// De-duplication windows, whole.
    pub seen_windows: u64,
}

/// One catalogue entry: the item's id and its encoded form.
pub type CatalogueEntry = (Bytes, Bytes);

/// What Portrait remembers.
///
/// Reads see everything that was acknowledged before they began. Every method MAY fail with
/// [`crate::Error::Unavailable`]; then nothing is known of a write, and the caller MUST re-read [`Store::meta`] before it
/// writes to that partition again.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What was fixed at creation. MUST NOT change while the store is open.
    fn layout(&self) -> Layout;

    /// What one call may carry. MUST NOT change while the store is open.
    fn limits(&self) -> Limits;

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

    /// Says that `worker` is there for `ttl` more, and gives all workers who are there, `worker` among them, in the order of
    /// their nonces.
    ///
    /// MUST fail with `TooBig` for a longer name than [`WORKER_NAME_MAX`], and with `Full` beyond [`WORKERS_MAX`]. `now` is the
    /// caller's clock; MAY use a clock of its own.
    async fn attend(&self, worker: &Worker, ttl: Span, now: Timestamp) -> Result<Vec<Worker>>;

    /// All workers who are there, in the order of their nonces.
    async fn workers(&self, now: Timestamp) -> Result<Vec<Worker>>;

    /// Says that a worker is there no longer. MUST ignore one that is not.
    async fn leave(&self, nonce: Nonce) -> Result<()>;

    /// The profiles of `keys`, in their order.
    async fn profiles(&self, partition: PartitionId, keys: &[ProfileKey]) -> Result<Vec<Option<Bytes>>>;

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

    /// Pages through all profiles of a partition.
    ///
    /// MUST return every profile that is there during the whole scan; MAY return one twice, and MAY or may not return one
    /// that is written or deleted meanwhile.
    async fn scan(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_profiles: usize,
    ) -> Result<ProfilePage>;

    /// Pages through all tombstones of a partition, as [`Store::scan`] does through its profiles.
    async fn tombstones(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_tombstones: usize,
    ) -> Result<TombstonePage>;

    /// Reads changes after `after`, at most `max_changes`. If there is none, waits up to `wait` for one and MAY return an empty
    /// page earlier. MUST return an empty page, not an error, when what follows `after` is trimmed; `first` tells.
    async fn read_feed(
        &self,
        partition: PartitionId,
        after: FeedSeq,
        max_changes: usize,
        wait: Duration,
    ) -> Result<FeedPage>;

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

    /// Adds items to the catalogue or replaces them, keyed by item id. MUST be durable as an append at `level` is.
    async fn put_items(&self, items: Vec<CatalogueEntry>, level: AckLevel) -> Result<()>;

    /// The items of `ids`, in their order.
    async fn items(&self, ids: &[Bytes]) -> Result<Vec<Option<Bytes>>>;

    /// Pages through the catalogue, about so many items at a time.
    ///
    /// MUST return every item that is there during the whole scan; MAY return one twice, and some more or fewer than `about`.
    async fn scan_items(&self, cursor: Option<ScanCursor>, about: usize) -> Result<ItemPage>;

    /// The models of the deployment. Waits up to `wait` for one with a number above `after` and returns what there then is.
    async fn registry(&self, after: Option<RegistryNo>, wait: Duration) -> Result<Registry>;

    /// Does everything in `change`, or nothing, and returns the new number. MUST be on disk when it returns,
    /// or as safe as the level that the room was opened for, where the room has one.
    ///
    /// MUST fail with `RegistryMoved` if `expected` is not the registry's number, and with `TrainerFenced` if a model is
    /// published with a token that is not the trainer's, and change nothing. MUST refuse, as `NoSuchModel`, to activate a model
    /// that is not kept or to forget the active one, and, as `RegistryMoved`, to publish a version that is not above the newest.
    async fn change_registry(&self, change: RegistryChange) -> Result<RegistryNo>;

    /// Takes the right to train, which one owner in the whole deployment has, as [`Store::acquire`] takes a partition.
    async fn acquire_training(&self, nonce: Nonce, ttl: Span, now: Timestamp) -> Result<Option<LeaseToken>>;

    /// As [`Store::renew`], for the right to train.
    async fn renew_training(&self, token: LeaseToken, ttl: Span, now: Timestamp) -> Result<bool>;

    /// As [`Store::release`], for the right to train.
    async fn release_training(&self, token: LeaseToken) -> Result<()>;

    /// Keeps a part of a model under the name of its bytes. MUST be as safe as a change of the registry when it
    /// returns.
    async fn put_part(&self, part: Bytes) -> Result<PartName>;

    /// The part of a name.
    async fn part(&self, name: PartName) -> Result<Option<Bytes>>;
}

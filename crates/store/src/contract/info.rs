//! What a store is: the facts that are fixed while it is open, and the levels at which it keeps what it acknowledges.

use portrait_profile::{PartitionCount, PseudonymKey, Span};

/// Facts of a store. Every role has them, so that whoever uses one role knows how much a call may carry.
pub trait StoreInfo: Send + Sync + 'static {
    /// What was fixed at creation. MUST NOT change while the store is open.
    fn layout(&self) -> Layout;

    /// What one call may carry. MUST NOT change while the store is open.
    fn limits(&self) -> Limits;
}

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

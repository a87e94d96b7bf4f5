//! The state of one partition: everything of it that is a number. The writer alone changes it; what is on disk, in the
//! writer's memory and before readers' eyes is the same value, one after the other.

use super::lease::Lease;
use bytes::Bytes;
use portrait_profile::{PartitionId, Timestamp};
use portrait_store::{
    Commit, CommitNo, Counters, Error, FeedSeq, Generations, LogSeq, PartitionMeta, Result,
};
use serde::{Deserialize, Serialize};

/// As it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PartitionState {
    /// Who owns the partition.
    pub(super) lease: Lease,
    /// The newest commit.
    pub(super) commit_no: CommitNo,
    /// Records up to here are applied.
    pub(super) applied_through: LogSeq,
    /// The newest record.
    pub(super) log_end: LogSeq,
    /// Records up to here are trimmed.
    pub(super) log_trimmed: LogSeq,
    /// The newest change.
    pub(super) feed_end: FeedSeq,
    /// Changes up to here are trimmed.
    pub(super) feed_trimmed: FeedSeq,
    /// The newest event time.
    pub(super) clock: Timestamp,
    /// What was counted.
    pub(super) counters: Counters,
    /// How many dead letters are kept.
    pub(super) dead_letters: u64,
    /// The owner's note.
    pub(super) note: Bytes,
    /// What was counted of records of those who were erased. At the end, where bytes of format 2 have nothing.
    pub(super) blocked: u64,
}

/// What bytes of format 2 lack at their end; those of today have no use for it.
const NO_BLOCKED: [u8; 1] = [0];

/// The generations of a partition, fixed while the store is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PartitionGenerations {
    /// Of its log.
    pub(super) log: Generations<LogSeq>,
    /// Of its feed.
    pub(super) feed: Generations<FeedSeq>,
}

impl PartitionState {
    /// The state of stored bytes, today's or of format 2.
    pub(super) fn read(bytes: &[u8]) -> postcard::Result<Self> {
        postcard::from_bytes(&[bytes, &NO_BLOCKED].concat())
    }

    /// Checks that `commit` is its owner's next.
    pub(super) fn check(&self, partition: PartitionId, commit: &Commit) -> Result<()> {
        if self.lease.is_held_by(commit.token) && self.commit_no == commit.expected {
            return Ok(());
        }
        Err(Error::Fenced { partition, expected: commit.expected, current: self.commit_no })
    }

    /// Counts a commit that passed [`Self::check`].
    pub(super) fn count(&mut self, commit: &Commit) {
        self.commit_no = self.commit_no.next();
        self.applied_through = self.applied_through.max(commit.applied_through).min(self.log_end);
        self.clock = self.clock.max(commit.clock);
        self.feed_end = self.feed_end.plus(commit.changes.len() as u64);
        self.counters.applied += commit.counted.applied;
        self.counters.duplicates += commit.counted.duplicates;
        self.counters.dead_letters += commit.counted.dead_letters;
        self.counters.late += commit.counted.late;
        self.blocked += commit.counted.blocked;
        self.dead_letters += commit.dead_letters.len() as u64;
        if let Some(note) = &commit.note {
            self.note.clone_from(note);
        }
    }

    /// As readers see it.
    pub(super) fn meta(&self, generations: &PartitionGenerations) -> PartitionMeta {
        PartitionMeta {
            token: self.lease.token(),
            commit_no: self.commit_no,
            applied_through: self.applied_through,
            log_end: self.log_end,
            log_first: self.log_trimmed.next(),
            log_generations: generations.log.clone(),
            feed_end: self.feed_end,
            feed_first: self.feed_trimmed.next(),
            feed_generations: generations.feed.clone(),
            clock: self.clock,
            counters: Counters { blocked: self.blocked, ..self.counters },
            note: self.note.clone(),
        }
    }
}

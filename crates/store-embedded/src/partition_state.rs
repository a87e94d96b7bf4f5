//! State of one partition: lease, positions, counters, note. Only the writer thread changes it. The same value passes from the
//! writer's memory to the disk, and then to the readers.

use bytes::Bytes;
use portrait_profile::{PartitionId, Timestamp};
use portrait_store::backend::lease::Lease;
use portrait_store::backend::log_size::LogSize;
use portrait_store::{
    Commit, CommitNo, Counters, Error, FeedSeq, Generations, LogSeq, PartitionMeta, Result,
};
use serde::{Deserialize, Serialize};

/// State of a partition as stored. Fields are encoded by position, so new ones go to the end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PartitionState {
    /// Lease of the partition's owner.
    pub(super) lease: Lease,
    /// Number of the newest commit.
    pub(super) commit_no: CommitNo,
    /// Newest applied record (inclusive).
    pub(super) applied_through: LogSeq,
    /// Newest record of the log.
    pub(super) log_end: LogSeq,
    /// Newest trimmed record (inclusive).
    pub(super) log_trimmed: LogSeq,
    /// Newest change of the feed.
    pub(super) feed_end: FeedSeq,
    /// Newest trimmed change (inclusive).
    pub(super) feed_trimmed: FeedSeq,
    /// Newest committed event time.
    pub(super) clock: Timestamp,
    /// Totals of the commits, `blocked` and `sourced` excepted.
    pub(super) counters: Counters,
    /// Number of retained dead letters.
    pub(super) dead_letters: u64,
    /// Newest note of the owner.
    pub(super) note: Bytes,
    /// Number of records of erased users. At the end, because the bytes of format 2 end before it.
    pub(super) blocked: u64,
    /// Size of the log. At the end, because earlier releases of format 3 do not write it.
    pub(super) log_size: LogSize,
    /// Number of records of sources. At the end, because earlier releases of format 3 do not write it.
    pub(super) sourced: u64,
}

/// Encoded zeros of `blocked`, of the three numbers of `log_size` and of `sourced`, which bytes of earlier releases lack. Decoding
/// ignores surplus bytes, and so does an earlier release that reads fewer.
const ABSENT: [u8; 5] = [0; 5];

/// Generations of a partition, fixed while the store is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PartitionGenerations {
    /// Generations of the log.
    pub(super) log: Generations<LogSeq>,
    /// Generations of the feed.
    pub(super) feed: Generations<FeedSeq>,
}

impl PartitionState {
    /// Decodes a state of this release, of an earlier one, or of format 2.
    pub(super) fn read(bytes: &[u8]) -> postcard::Result<Self> {
        postcard::from_bytes(&[bytes, &ABSENT].concat())
    }

    /// Adds a block of `count` records and `bytes` bytes to the end of the log.
    pub(super) fn append(&mut self, count: u64, bytes: u64) {
        self.log_size.append(self.log_end.get(), count, bytes);
        self.log_end = self.log_end.plus(count);
    }

    /// Returns the size of the retained log in bytes.
    pub(super) fn log_bytes(&self) -> u64 {
        self.log_size.of(self.log_trimmed.get(), self.log_end.get())
    }

    /// Checks that `commit` follows the newest one and comes from the owner.
    pub(super) fn check(&self, partition: PartitionId, commit: &Commit) -> Result<()> {
        // An expired lease may still commit: only a newer owner's token fences it, and none exists here.
        if self.lease.is_held_by(commit.token) && self.commit_no == commit.expected {
            return Ok(());
        }
        Err(Error::Fenced { partition, expected: commit.expected, current: self.commit_no })
    }

    /// Applies the numbers of a commit that passed [`Self::check`].
    pub(super) fn count(&mut self, commit: &Commit) {
        self.commit_no = self.commit_no.next();
        // Never beyond the log: an owner may know records that this process lost in an unclean restart.
        self.applied_through = self.applied_through.max(commit.applied_through).min(self.log_end);
        self.clock = self.clock.max(commit.clock);
        self.feed_end = self.feed_end.plus(commit.changes.len() as u64);
        self.counters.applied += commit.counted.applied;
        self.counters.duplicates += commit.counted.duplicates;
        self.counters.dead_letters += commit.counted.dead_letters;
        self.counters.late += commit.counted.late;
        self.blocked += commit.counted.blocked;
        self.sourced += commit.counted.sourced;
        self.dead_letters += commit.dead_letters.len() as u64;
        if let Some(note) = &commit.note {
            self.note.clone_from(note);
        }
    }

    /// Returns the state in the form of the contract.
    pub(super) fn meta(&self, generations: &PartitionGenerations) -> PartitionMeta {
        PartitionMeta {
            token: self.lease.token(),
            holder: self.lease.holder(),
            commit_no: self.commit_no,
            applied_through: self.applied_through,
            log_end: self.log_end,
            log_first: self.log_trimmed.next(),
            log_bytes: self.log_bytes(),
            log_generations: generations.log.clone(),
            feed_end: self.feed_end,
            feed_first: self.feed_trimmed.next(),
            feed_generations: generations.feed.clone(),
            clock: self.clock,
            counters: Counters { blocked: self.blocked, sourced: self.sourced, ..self.counters },
            note: self.note.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_earlier_releases_are_read_and_earlier_releases_read_this_one() {
        let mut state = PartitionState { blocked: 7, sourced: 9, ..PartitionState::default() };
        state.append(3, 500);
        let bytes = postcard::to_stdvec(&state).expect("memory");
        assert_eq!(PartitionState::read(&bytes).expect("this release"), state);
        let (earlier, sourced) = bytes.split_at(bytes.len() - 1);
        assert_eq!(sourced, [9]);
        let without_sourced = PartitionState { sourced: 0, ..state };
        assert_eq!(PartitionState::read(earlier).expect("without the sourced"), without_sourced);
        // One byte each for the bytes' first position and end, two for 500.
        let (earlier, size) = earlier.split_at(earlier.len() - 4);
        assert_eq!(size, [0xF4, 0x03, 0, 3]);
        let without_size = PartitionState { log_size: LogSize::default(), ..without_sourced };
        assert_eq!(PartitionState::read(earlier).expect("without the size"), without_size);
        assert_eq!(without_size.log_bytes(), 0, "unknown until the next append");
        let (format_2, blocked) = earlier.split_at(earlier.len() - 1);
        assert_eq!(blocked, [7]);
        assert_eq!(
            PartitionState::read(format_2).expect("format 2"),
            PartitionState { blocked: 0, ..without_size }
        );
    }
}

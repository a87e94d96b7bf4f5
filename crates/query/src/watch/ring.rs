//! In-memory ring of the newest changes of one partition, shared by all subscribers and bounded in number and bytes.
//! Dropped changes are still in the store.

use portrait_profile::ProfileChange;
use portrait_store::{FeedPosition, FeedSeq, GenerationId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Memory of an entry beside the bytes of its change.
const ENTRY_OVERHEAD_BYTES: usize = 128;

/// Change with its position in the feed.
#[derive(Clone, Debug)]
pub(crate) struct BufferedChange {
    /// Position in the feed.
    pub(crate) seq: FeedSeq,
    /// Decoded change, shared by all subscribers.
    pub(crate) change: Arc<ProfileChange>,
    /// Stored size in bytes.
    pub(crate) bytes: usize,
}

/// Ring of the newest changes of one partition.
pub(crate) struct ChangeRing {
    buffer: Mutex<RingBuffer>,
    changes_max: usize,
    bytes_max: usize,
}

struct RingBuffer {
    /// Generation of the newest change; none while the tail cannot follow the feed, and the ring is unusable.
    generation: Option<GenerationId>,
    /// Contiguous changes up to `end`.
    changes: VecDeque<BufferedChange>,
    /// Position of the newest change.
    end: FeedSeq,
    /// Memory of `changes`, in bytes.
    bytes: usize,
}

/// Result of a ring read.
#[derive(Debug)]
pub(crate) enum RingRead {
    /// Following changes, and the end of the ring.
    Changes(Vec<BufferedChange>, FeedSeq),
    /// No change is newer.
    UpToDate,
    /// The ring has dropped the following changes: read the store.
    NotBuffered,
}

impl ChangeRing {
    /// Creates an unusable ring with the given limits.
    pub(crate) fn new(changes_max: usize, bytes_max: usize) -> Self {
        let buffer = RingBuffer { generation: None, changes: VecDeque::new(), end: FeedSeq::ZERO, bytes: 0 };
        Self { buffer: Mutex::new(buffer), changes_max, bytes_max }
    }

    /// Makes the ring unusable while the tail cannot follow the feed; readers go to the store.
    pub(crate) fn invalidate(&self) {
        let mut buffer = self.lock();
        buffer.clear();
        buffer.generation = None;
    }

    /// Appends contiguous `changes` that reach `end`; with no changes it only moves the end. A gap or a new
    /// generation clears the ring first.
    pub(crate) fn extend(&self, end: FeedPosition, changes: Vec<BufferedChange>) {
        let mut buffer = self.lock();
        let continues = match changes.first() {
            Some(first) => first.seq == buffer.end.next(),
            None => end.seq == buffer.end,
        };
        // A gap would make readers skip changes: better an empty ring and a read of the store.
        if buffer.generation != Some(end.generation) || !continues {
            buffer.clear();
            buffer.generation = Some(end.generation);
        }
        buffer.end = end.seq;
        for change in changes {
            buffer.bytes += change.bytes + ENTRY_OVERHEAD_BYTES;
            buffer.changes.push_back(change);
        }
        // Oldest first: most subscribers are close to the end of the feed.
        while buffer.changes.len() > self.changes_max || buffer.bytes > self.bytes_max {
            let Some(oldest) = buffer.changes.pop_front() else { break };
            buffer.bytes -= oldest.bytes + ENTRY_OVERHEAD_BYTES;
        }
    }

    /// Returns at most `limit` changes after `position`.
    pub(crate) fn after(&self, position: FeedPosition, limit: usize) -> RingRead {
        let buffer = self.lock();
        if buffer.generation != Some(position.generation) {
            return RingRead::NotBuffered;
        }
        // A cursor of a trimmed feed may be ahead of the ring: nothing to send yet.
        if position.seq >= buffer.end {
            return RingRead::UpToDate;
        }
        // Changes are contiguous, so the distance to the end is an index: no search.
        let behind = buffer.end.get() - position.seq.get();
        let skipped =
            usize::try_from(behind).ok().and_then(|behind| buffer.changes.len().checked_sub(behind));
        match skipped {
            Some(skipped) => RingRead::Changes(
                buffer.changes.iter().skip(skipped).take(limit).cloned().collect(),
                buffer.end,
            ),
            None => RingRead::NotBuffered,
        }
    }

    fn lock(&self) -> MutexGuard<'_, RingBuffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RingBuffer {
    fn clear(&mut self) {
        self.changes.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_profile::{ProfileVersion, Timestamp, UserId};
    use portrait_store::Nonce;

    fn changes(seqs: std::ops::RangeInclusive<u64>) -> Vec<BufferedChange> {
        let change = ProfileChange {
            user_id: UserId::parse("u").expect("an id"),
            version: ProfileVersion::default(),
            deleted: false,
            accepted_at: Timestamp::EPOCH,
            segment_before: None,
            segment_after: None,
            trace: None,
        };
        let change = Arc::new(change);
        seqs.map(|seq| BufferedChange { seq: FeedSeq::new(seq), change: Arc::clone(&change), bytes: 10 })
            .collect()
    }

    fn at(generation: u128, seq: u64) -> FeedPosition {
        FeedPosition { generation: GenerationId::new(Nonce::new(generation)), seq: FeedSeq::new(seq) }
    }

    /// Result of a read as text: positions, `=` for up to date, `?` for not buffered.
    fn read(ring: &ChangeRing, position: FeedPosition) -> String {
        match ring.after(position, 3) {
            RingRead::Changes(changes, _) => {
                changes.iter().map(|change| change.seq.to_string()).collect::<Vec<_>>().join(" ")
            }
            RingRead::UpToDate => "=".to_owned(),
            RingRead::NotBuffered => "?".to_owned(),
        }
    }

    #[test]
    fn a_reader_gets_the_next_changes_or_reads_the_store() {
        let ring = ChangeRing::new(4, 1 << 20);
        assert_eq!(read(&ring, at(1, 0)), "?", "the ring is unusable at first");
        ring.extend(at(1, 2), Vec::new());
        assert_eq!(read(&ring, at(1, 2)), "=");
        assert_eq!(read(&ring, at(1, 1)), "?", "changes before the start of the tail");
        ring.extend(at(1, 8), changes(3..=8));
        let rows = [(1, 3, "?"), (1, 4, "5 6 7"), (1, 7, "8"), (1, 8, "="), (1, 9, "="), (2, 7, "?")];
        for (generation, seq, expected) in rows {
            assert_eq!(read(&ring, at(generation, seq)), expected, "{generation} {seq}");
        }
        ring.extend(at(2, 9), changes(9..=9));
        assert_eq!((read(&ring, at(1, 8)), read(&ring, at(2, 8))), ("?".to_owned(), "9".to_owned()));
        ring.extend(at(2, 20), changes(20..=20));
        assert_eq!((read(&ring, at(2, 9)), read(&ring, at(2, 19))), ("?".to_owned(), "20".to_owned()));
        ring.extend(at(2, 25), Vec::new());
        assert_eq!(read(&ring, at(2, 20)), "?", "the tail has skipped a gap");
        ring.invalidate();
        assert_eq!(read(&ring, at(2, 25)), "?");
    }

    #[test]
    fn the_ring_is_bounded_in_bytes() {
        let ring = ChangeRing::new(1000, 3 * (10 + ENTRY_OVERHEAD_BYTES));
        ring.extend(at(1, 100), changes(1..=100));
        assert_eq!(
            (read(&ring, at(1, 96)), read(&ring, at(1, 97))),
            ("?".to_owned(), "98 99 100".to_owned())
        );
    }
}

//! The newest changes of one partition, in memory, for all subscribers. In come the tail's pages, out go copies to whoever
//! is not too far behind. It is bounded in number and bytes; what gives way is still in the store.

use portrait_profile::ProfileChange;
use portrait_store::{FeedPosition, FeedSeq, GenerationId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What an entry takes beside the bytes of its change.
const ENTRY_OVERHEAD_BYTES: usize = 128;

/// A change and its place.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The place in the feed.
    pub(crate) seq: FeedSeq,
    /// What happened.
    pub(crate) change: Arc<ProfileChange>,
    /// How long it was as stored.
    pub(crate) bytes: usize,
}

/// The newest changes of one partition.
pub(crate) struct Ring {
    kept: Mutex<Kept>,
    changes_max: usize,
    bytes_max: usize,
}

struct Kept {
    /// Of the newest change; none while the tail does not know the feed: then nobody may rely on the ring.
    generation: Option<GenerationId>,
    /// Contiguous, up to `end`.
    changes: VecDeque<Change>,
    /// The newest change.
    end: FeedSeq,
    /// What `changes` takes.
    bytes: usize,
}

/// What a ring says to a reader.
#[derive(Debug)]
pub(crate) enum Found {
    /// What follows, and how far the ring goes.
    Changes(Vec<Change>, FeedSeq),
    /// Nothing follows yet.
    UpToDate,
    /// What follows is not here: ask the store.
    Elsewhere,
}

impl Ring {
    /// A ring that knows nothing and keeps at most so much.
    pub(crate) fn new(changes_max: usize, bytes_max: usize) -> Self {
        let kept = Kept { generation: None, changes: VecDeque::new(), end: FeedSeq::ZERO, bytes: 0 };
        Self { kept: Mutex::new(kept), changes_max, bytes_max }
    }

    /// Forgets everything: the tail cannot follow the feed at the moment.
    pub(crate) fn lose(&self) {
        let mut kept = self.kept();
        kept.clear();
        kept.generation = None;
    }

    /// The feed is known up to `end`; `changes` are contiguous and the last of them is there, or there are none.
    pub(crate) fn extend(&self, end: FeedPosition, changes: Vec<Change>) {
        let mut kept = self.kept();
        let continues = match changes.first() {
            Some(first) => first.seq == kept.end.next(),
            None => end.seq == kept.end,
        };
        if kept.generation != Some(end.generation) || !continues {
            kept.clear();
            kept.generation = Some(end.generation);
        }
        kept.end = end.seq;
        for change in changes {
            kept.bytes += change.bytes + ENTRY_OVERHEAD_BYTES;
            kept.changes.push_back(change);
        }
        while kept.changes.len() > self.changes_max || kept.bytes > self.bytes_max {
            let Some(oldest) = kept.changes.pop_front() else { break };
            kept.bytes -= oldest.bytes + ENTRY_OVERHEAD_BYTES;
        }
    }

    /// At most `most` changes after `position`.
    pub(crate) fn after(&self, position: FeedPosition, most: usize) -> Found {
        let kept = self.kept();
        if kept.generation != Some(position.generation) {
            return Found::Elsewhere;
        }
        if position.seq >= kept.end {
            return Found::UpToDate;
        }
        let behind = kept.end.get() - position.seq.get();
        let skipped = usize::try_from(behind).ok().and_then(|behind| kept.changes.len().checked_sub(behind));
        match skipped {
            Some(skipped) => {
                Found::Changes(kept.changes.iter().skip(skipped).take(most).cloned().collect(), kept.end)
            }
            None => Found::Elsewhere,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
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

    fn changes(seqs: std::ops::RangeInclusive<u64>) -> Vec<Change> {
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
        seqs.map(|seq| Change { seq: FeedSeq::new(seq), change: Arc::clone(&change), bytes: 10 }).collect()
    }

    fn at(generation: u128, seq: u64) -> FeedPosition {
        FeedPosition { generation: GenerationId::new(Nonce::new(generation)), seq: FeedSeq::new(seq) }
    }

    /// What a reader is told, in short: the places, `=` for up to date, `?` for elsewhere.
    fn told(ring: &Ring, position: FeedPosition) -> String {
        match ring.after(position, 3) {
            Found::Changes(changes, _) => {
                changes.iter().map(|change| change.seq.to_string()).collect::<Vec<_>>().join(" ")
            }
            Found::UpToDate => "=".to_owned(),
            Found::Elsewhere => "?".to_owned(),
        }
    }

    #[test]
    fn a_reader_gets_what_follows_or_is_sent_to_the_store() {
        let ring = Ring::new(4, 1 << 20);
        assert_eq!(told(&ring, at(1, 0)), "?", "nothing is known yet");
        ring.extend(at(1, 2), Vec::new());
        assert_eq!(told(&ring, at(1, 2)), "=");
        assert_eq!(told(&ring, at(1, 1)), "?", "what was before the tail began");
        ring.extend(at(1, 8), changes(3..=8));
        let rows = [(1, 3, "?"), (1, 4, "5 6 7"), (1, 7, "8"), (1, 8, "="), (1, 9, "="), (2, 7, "?")];
        for (generation, seq, expected) in rows {
            assert_eq!(told(&ring, at(generation, seq)), expected, "{generation} {seq}");
        }
        ring.extend(at(2, 9), changes(9..=9));
        assert_eq!((told(&ring, at(1, 8)), told(&ring, at(2, 8))), ("?".to_owned(), "9".to_owned()));
        ring.extend(at(2, 20), changes(20..=20));
        assert_eq!((told(&ring, at(2, 9)), told(&ring, at(2, 19))), ("?".to_owned(), "20".to_owned()));
        ring.extend(at(2, 25), Vec::new());
        assert_eq!(told(&ring, at(2, 20)), "?", "the tail jumped over what was lost to it");
        ring.lose();
        assert_eq!(told(&ring, at(2, 25)), "?");
    }

    #[test]
    fn it_is_bounded_in_bytes_too() {
        let ring = Ring::new(1000, 3 * (10 + ENTRY_OVERHEAD_BYTES));
        ring.extend(at(1, 100), changes(1..=100));
        assert_eq!(
            (told(&ring, at(1, 96)), told(&ring, at(1, 97))),
            ("?".to_owned(), "98 99 100".to_owned())
        );
    }
}

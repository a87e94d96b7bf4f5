//! What is remembered of an erasure, and how far a partition is with them. In come places of the log and moments, out goes what a
//! tombstone blocks and what a receipt may say. Nothing here names a shopper.
//!
//! ```text
//! log of the partition ──┤ cleared ......... swept ......... newest ├──
//!                        nothing is left     edges are gone    applied
//! ```

use crate::codec::{self, DecodeError};
use crate::seq::{FeedSeq, LogSeq};
use crate::time::Timestamp;
use crate::version::ProfileVersion;
use serde::{Deserialize, Serialize};

/// What a partition remembers of somebody who was erased, under the pseudonym.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// When ingest took the erasure, by the clock on the wall: the tombstone expires by it.
    pub accepted_at: Timestamp,
    /// What the shopper did up to then is dropped, whenever it comes. Without it old records would begin a profile anew.
    pub erased_at: Timestamp,
    /// Edges to the shopper that were stated up to then are dropped, whenever they come.
    pub edges_through: Timestamp,
    /// The version that the deletion had, or the last before it: the next profile goes on after it.
    pub version: ProfileVersion,
    /// Where the newest erasure of the shopper is in the log of this partition.
    pub log_seq: LogSeq,
    /// Where the oldest of them is of which something may be left.
    pub log_seq_min: LogSeq,
    /// Where the feed ended after it: changes up to there may name the shopper.
    pub feed_seq_max: FeedSeq,
}

/// How far a partition is with erasures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureLedger {
    /// The newest erasure that was applied.
    newest: LogSeq,
    /// Up to there nobody of the partition has an edge any more to somebody who was erased.
    swept: LogSeq,
    /// Up to there nothing is left of erasures: not in the log, the feed, the dead letters, nor in the store's files.
    cleared: LogSeq,
    /// New profiles go on after it: no version of a shopper whose tombstone has expired is above it.
    version_floor: ProfileVersion,
}

impl Tombstone {
    /// What is remembered if the shopper is erased once more: nothing of the earlier one is blocked less.
    #[must_use]
    pub fn after(self, earlier: Option<&Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        Self {
            accepted_at: self.accepted_at.max(earlier.accepted_at),
            erased_at: self.erased_at.max(earlier.erased_at),
            edges_through: self.edges_through.max(earlier.edges_through),
            version: self.version.max(earlier.version),
            log_seq: self.log_seq.max(earlier.log_seq),
            log_seq_min: self.log_seq_min.min(earlier.log_seq_min),
            feed_seq_max: self.feed_seq_max.max(earlier.feed_seq_max),
        }
    }

    /// The bytes for the store: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(codec::TOMBSTONE_VERSION, self)
    }

    /// The tombstone of such bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(codec::TOMBSTONE_VERSION, bytes)
    }
}

impl ErasureLedger {
    /// Notes that the erasure at `place` is applied.
    pub fn applied(&mut self, place: LogSeq) {
        self.newest = self.newest.max(place);
    }

    /// Notes that everybody was looked at for edges to those who were erased up to `place`.
    pub fn swept_through(&mut self, place: LogSeq) {
        self.swept = self.swept.max(place);
    }

    /// Notes that nothing is left of erasures up to `place`.
    pub fn cleared_through(&mut self, place: LogSeq) {
        self.cleared = self.cleared.max(place);
    }

    /// Notes that a tombstone with that version expires.
    pub fn expired(&mut self, version: ProfileVersion) {
        self.version_floor = self.version_floor.max(version);
    }

    /// Whether somebody may still have an edge to somebody who was erased.
    pub fn is_sweep_due(&self) -> bool {
        self.newest > self.swept
    }

    /// Whether edges are gone for the erasure at `place`.
    pub fn is_swept(&self, place: LogSeq) -> bool {
        self.swept >= place
    }

    /// Whether nothing is left of the erasure at `place`.
    pub fn is_cleared(&self, place: LogSeq) -> bool {
        self.cleared >= place
    }

    /// The newest erasure that was applied.
    pub fn newest(&self) -> LogSeq {
        self.newest
    }

    /// Up to there nothing is left of erasures.
    pub fn cleared(&self) -> LogSeq {
        self.cleared
    }

    /// New profiles go on after this version.
    pub fn version_floor(&self) -> ProfileVersion {
        self.version_floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tombstone(number: i64) -> Tombstone {
        let place = number as u64;
        let version = (0..number).fold(ProfileVersion::default(), |version, _| version.next());
        let at = Timestamp::from_millis(number);
        let (placed_at, told_through) = (LogSeq::new(place), FeedSeq::new(place));
        let (accepted_at, erased_at, edges_through, left_from) = (at, at, at, placed_at);
        Tombstone { accepted_at, erased_at, edges_through, version, log_seq: placed_at, log_seq_min: left_from, feed_seq_max: told_through }
    }

    #[test]
    fn a_second_erasure_blocks_no_less_than_the_first() {
        let (first, second) =
            (tombstone(9), Tombstone { accepted_at: Timestamp::from_millis(11), ..tombstone(3) });
        assert_eq!(
            second.after(Some(&first)),
            Tombstone { accepted_at: Timestamp::from_millis(11), log_seq_min: LogSeq::new(3), ..first }
        );
        assert_eq!(second.after(None), second);
        assert_eq!(Tombstone::decode(&second.encode()).expect("what was encoded"), second);
    }

    #[test]
    fn the_ledger_says_how_far_an_erasure_is() {
        let mut ledger = ErasureLedger::default();
        ledger.applied(LogSeq::new(5));
        assert!(ledger.is_sweep_due() && !ledger.is_swept(LogSeq::new(5)));
        ledger.swept_through(LogSeq::new(7));
        assert!(!ledger.is_sweep_due() && ledger.is_swept(LogSeq::new(7)) && !ledger.is_swept(LogSeq::new(8)));
        ledger.applied(LogSeq::new(8));
        ledger.cleared_through(LogSeq::new(6));
        // Nothing goes back.
        ledger.cleared_through(LogSeq::new(1));
        assert!(ledger.is_sweep_due() && ledger.is_cleared(LogSeq::new(6)) && !ledger.is_cleared(LogSeq::new(7)));
        ledger.expired(tombstone(4).version);
        ledger.expired(tombstone(2).version);
        assert_eq!(ledger.version_floor().get(), 4);
    }
}

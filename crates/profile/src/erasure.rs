//! What is remembered of an erasure, and how far a partition is with them. In come places of the log and moments, out goes what a
//! tombstone blocks and what a receipt may say. Nothing here names a shopper.
//!
//! ```text
//! log of the partition ──┤ cleared ......... swept ......... newest ├──
//!                        nothing is left     edges are gone    applied
//! ```

use crate::codec::{self, DecodeError};
use crate::time::Timestamp;
use crate::version::ProfileVersion;
use serde::{Deserialize, Serialize};

/// A place in a partition's log, as the store counts them; 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogPlace(pub u64);

/// A place in a partition's feed, as the store counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FeedPlace(pub u64);

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
    pub placed_at: LogPlace,
    /// Where the oldest of them is of which something may be left.
    pub left_from: LogPlace,
    /// Where the feed ended after it: changes up to there may name the shopper.
    pub told_through: FeedPlace,
}

/// How far a partition is with erasures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureLedger {
    /// The newest erasure that was applied.
    newest: LogPlace,
    /// Up to there nobody of the partition has an edge any more to somebody who was erased.
    swept: LogPlace,
    /// Up to there nothing is left of erasures: not in the log, the feed, the dead letters, nor in the store's files.
    cleared: LogPlace,
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
            placed_at: self.placed_at.max(earlier.placed_at),
            left_from: self.left_from.min(earlier.left_from),
            told_through: self.told_through.max(earlier.told_through),
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
    pub fn applied(&mut self, place: LogPlace) {
        self.newest = self.newest.max(place);
    }

    /// Notes that everybody was looked at for edges to those who were erased up to `place`.
    pub fn swept_through(&mut self, place: LogPlace) {
        self.swept = self.swept.max(place);
    }

    /// Notes that nothing is left of erasures up to `place`.
    pub fn cleared_through(&mut self, place: LogPlace) {
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
    pub fn is_swept(&self, place: LogPlace) -> bool {
        self.swept >= place
    }

    /// Whether nothing is left of the erasure at `place`.
    pub fn is_cleared(&self, place: LogPlace) -> bool {
        self.cleared >= place
    }

    /// The newest erasure that was applied.
    pub fn newest(&self) -> LogPlace {
        self.newest
    }

    /// Up to there nothing is left of erasures.
    pub fn cleared(&self) -> LogPlace {
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
        let (placed_at, told_through) = (LogPlace(place), FeedPlace(place));
        let (accepted_at, erased_at, edges_through, left_from) = (at, at, at, placed_at);
        Tombstone { accepted_at, erased_at, edges_through, version, placed_at, left_from, told_through }
    }

    #[test]
    fn a_second_erasure_blocks_no_less_than_the_first() {
        let (first, second) =
            (tombstone(9), Tombstone { accepted_at: Timestamp::from_millis(11), ..tombstone(3) });
        assert_eq!(
            second.after(Some(&first)),
            Tombstone { accepted_at: Timestamp::from_millis(11), left_from: LogPlace(3), ..first }
        );
        assert_eq!(second.after(None), second);
        assert_eq!(Tombstone::decode(&second.encode()).expect("what was encoded"), second);
    }

    #[test]
    fn the_ledger_says_how_far_an_erasure_is() {
        let mut ledger = ErasureLedger::default();
        ledger.applied(LogPlace(5));
        assert!(ledger.is_sweep_due() && !ledger.is_swept(LogPlace(5)));
        ledger.swept_through(LogPlace(7));
        assert!(!ledger.is_sweep_due() && ledger.is_swept(LogPlace(7)) && !ledger.is_swept(LogPlace(8)));
        ledger.applied(LogPlace(8));
        ledger.cleared_through(LogPlace(6));
        // Nothing goes back.
        ledger.cleared_through(LogPlace(1));
        assert!(ledger.is_sweep_due() && ledger.is_cleared(LogPlace(6)) && !ledger.is_cleared(LogPlace(7)));
        ledger.expired(tombstone(4).version);
        ledger.expired(tombstone(2).version);
        assert_eq!(ledger.version_floor().get(), 4);
    }
}

//! Tombstones of erased users, and the progress of a partition's erasures. Input: log positions and times. Output: the
//! records that a tombstone blocks and the state that a receipt reports. Nothing here holds a user id.
//!
//! ```text
//! log of the partition ──┤ cleared ......... swept ......... newest ├──
//!                        no data left      no edges         applied
//! ```

use crate::codec::{self, DecodeError};
use crate::seq::{FeedSeq, LogSeq};
use crate::time::Timestamp;
use crate::version::ProfileVersion;
use serde::{Deserialize, Serialize};

/// Record of an erased user in one partition, under the pseudonym.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Ingest time of the erasure by the wall clock; the tombstone expires by it.
    pub accepted_at: Timestamp,
    /// Events of the user up to this time are dropped on arrival. Without it, late records would begin a new profile.
    pub erased_at: Timestamp,
    /// Edges to the user stated up to this time are dropped on arrival.
    pub edges_through: Timestamp,
    /// Version of the deletion, or the last one before it; the next profile of the user continues after it.
    pub version: ProfileVersion,
    /// Log position of the newest erasure of the user in this partition.
    pub log_seq: LogSeq,
    /// Log position of the oldest erasure of the user that is not yet cleared.
    pub log_seq_min: LogSeq,
    /// End of the feed after the erasure: changes up to this position may hold the user id.
    pub feed_seq_max: FeedSeq,
}

/// Progress of a partition's erasures.
///
/// ```
/// use portrait_profile::{ErasureLedger, LogSeq};
///
/// let mut ledger = ErasureLedger::default();
/// ledger.applied(LogSeq::new(5));
/// assert!(ledger.is_sweep_due());
/// ledger.swept_through(LogSeq::new(5));
/// assert!(ledger.is_swept(LogSeq::new(5)) && !ledger.is_cleared(LogSeq::new(5)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureLedger {
    /// Position of the newest applied erasure.
    newest: LogSeq,
    /// No profile of the partition has edges to users erased up to this position.
    swept: LogSeq,
    /// No data of erasures up to this position remains in the log, the feed, the dead letters or the store's files.
    cleared: LogSeq,
    /// New profiles continue after this version: it is the highest version of any user with an expired tombstone.
    version_floor: ProfileVersion,
}

impl Tombstone {
    /// Merges this erasure with an `earlier` one of the same user, so that everything the earlier one blocks stays blocked.
    #[must_use]
    pub fn merged_with(self, earlier: Option<&Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        // Erasures of one user may carry any times, as in a replay: each bound is merged on its own.
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

    /// Encodes the tombstone for the store: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(codec::TOMBSTONE_VERSION, self)
    }

    /// Decodes a tombstone from the bytes of [`Self::encode`].
    ///
    /// # Errors
    /// If the bytes are damaged or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(codec::TOMBSTONE_VERSION, bytes)
    }
}

impl ErasureLedger {
    /// Records that the erasure at `seq` is applied.
    pub fn applied(&mut self, seq: LogSeq) {
        // Positions only grow: after a restart an owner may report a position again.
        self.newest = self.newest.max(seq);
    }

    /// Records that no profile has edges to users erased up to `seq`.
    pub fn swept_through(&mut self, seq: LogSeq) {
        self.swept = self.swept.max(seq);
    }

    /// Records that no data of erasures up to `seq` remains.
    pub fn cleared_through(&mut self, seq: LogSeq) {
        self.cleared = self.cleared.max(seq);
    }

    /// Records that a tombstone with that version expired.
    pub fn expired(&mut self, version: ProfileVersion) {
        self.version_floor = self.version_floor.max(version);
    }

    /// Returns whether profiles may still have edges to erased users.
    pub fn is_sweep_due(&self) -> bool {
        self.newest > self.swept
    }

    /// Returns whether no edges remain for the erasure at `seq`.
    pub fn is_swept(&self, seq: LogSeq) -> bool {
        self.swept >= seq
    }

    /// Returns whether no data remains of the erasure at `seq`.
    pub fn is_cleared(&self, seq: LogSeq) -> bool {
        self.cleared >= seq
    }

    /// Returns the newest applied erasure.
    pub fn newest(&self) -> LogSeq {
        self.newest
    }

    /// Returns the position up to which no data of erasures remains.
    pub fn cleared(&self) -> LogSeq {
        self.cleared
    }

    /// Returns the version after which new profiles continue.
    pub fn version_floor(&self) -> ProfileVersion {
        self.version_floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tombstone(number: i64) -> Tombstone {
        let log_seq = LogSeq::new(number as u64);
        let version = (0..number).fold(ProfileVersion::default(), |version, _| version.next());
        let at = Timestamp::from_millis(number);
        Tombstone {
            accepted_at: at,
            erased_at: at,
            edges_through: at,
            version,
            log_seq,
            log_seq_min: log_seq,
            feed_seq_max: FeedSeq::new(log_seq.get()),
        }
    }

    #[test]
    fn a_second_erasure_blocks_no_less_than_the_first() {
        let first = tombstone(9);
        let second = Tombstone { accepted_at: Timestamp::from_millis(11), ..tombstone(3) };
        assert_eq!(
            second.merged_with(Some(&first)),
            Tombstone { accepted_at: Timestamp::from_millis(11), log_seq_min: LogSeq::new(3), ..first }
        );
        assert_eq!(second.merged_with(None), second);
        assert_eq!(Tombstone::decode(&second.encode()).expect("what was encoded"), second);
    }

    #[test]
    fn the_ledger_reports_the_progress_of_an_erasure() {
        let mut ledger = ErasureLedger::default();
        ledger.applied(LogSeq::new(5));
        assert!(ledger.is_sweep_due() && !ledger.is_swept(LogSeq::new(5)));
        ledger.swept_through(LogSeq::new(7));
        assert!(
            !ledger.is_sweep_due() && ledger.is_swept(LogSeq::new(7)) && !ledger.is_swept(LogSeq::new(8))
        );
        ledger.applied(LogSeq::new(8));
        ledger.cleared_through(LogSeq::new(6));
        // A repeated, older report changes nothing.
        ledger.cleared_through(LogSeq::new(1));
        assert!(
            ledger.is_sweep_due() && ledger.is_cleared(LogSeq::new(6)) && !ledger.is_cleared(LogSeq::new(7))
        );
        ledger.expired(tombstone(4).version);
        ledger.expired(tombstone(2).version);
        assert_eq!(ledger.version_floor().get(), 4);
    }
}

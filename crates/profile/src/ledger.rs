//! Ledger of a partition: the number of users in each segment, the last model sweep, and the progress of erasures. It is
//! written in the same commit as the profiles, so the counts are exact without a scan.

use crate::codec::{self, DecodeError};
use crate::erasure::ErasureLedger;
use crate::segment::{ModelVersion, SegmentId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Ledger of one partition.
///
/// ```
/// use portrait_profile::{PartitionLedger, SegmentId};
///
/// let mut ledger = PartitionLedger::default();
/// ledger.record_move(None, Some(SegmentId::new(1)));
/// ledger.record_move(Some(SegmentId::new(1)), Some(SegmentId::new(2)));
/// assert_eq!(ledger.counts().collect::<Vec<_>>(), [(SegmentId::new(2), 1)]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionLedger {
    /// Number of users by segment; a segment without users has no entry.
    counts: BTreeMap<SegmentId, u64>,
    /// Version of the newest model that every profile was assigned by, and the time of that sweep.
    swept: Option<(ModelVersion, Timestamp)>,
    /// Progress of erasures. Without it versions would restart, and completed sweeps would run again.
    erasures: ErasureLedger,
}

impl PartitionLedger {
    /// Counts a user who moved from segment `before` to segment `after`.
    pub fn record_move(&mut self, before: Option<SegmentId>, after: Option<SegmentId>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            let count = self.counts.get(&before).map_or(0, |count| count.saturating_sub(1));
            // Segments are retired for good, so that empty entries would accumulate with every model.
            if count == 0 {
                self.counts.remove(&before);
            } else {
                self.counts.insert(before, count);
            }
        }
        if let Some(after) = after {
            *self.counts.entry(after).or_default() += 1;
        }
    }

    /// Records that every profile was assigned by model `version`.
    pub fn sweep_done(&mut self, version: ModelVersion, at: Timestamp) {
        self.swept = Some((version, at));
    }

    /// Returns the version of the newest model that every profile was assigned by, and the time of that sweep.
    pub fn swept(&self) -> Option<(ModelVersion, Timestamp)> {
        self.swept
    }

    /// Returns the progress of erasures.
    pub fn erasures(&self) -> ErasureLedger {
        self.erasures
    }

    /// Returns the progress of erasures for updates.
    pub fn erasures_mut(&mut self) -> &mut ErasureLedger {
        &mut self.erasures
    }

    /// Returns the number of users by segment.
    pub fn counts(&self) -> impl Iterator<Item = (SegmentId, u64)> {
        self.counts.iter().map(|(id, count)| (*id, *count))
    }

    /// Encodes the ledger for the store: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(codec::LEDGER_VERSION, self)
    }

    /// Decodes a ledger from the bytes of [`Self::encode`]; no bytes are an empty ledger.
    ///
    /// # Errors
    /// If the bytes are damaged or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        // A partition without a commit has no ledger yet.
        if bytes.is_empty() { Ok(Self::default()) } else { codec::decode(codec::LEDGER_VERSION, bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_counted_by_segment() {
        let one = Some(SegmentId::new(1));
        let two = Some(SegmentId::new(2));
        let mut ledger = PartitionLedger::default();
        for (before, after) in [(None, one), (None, one), (None, two), (one, two), (two, two), (two, None)] {
            ledger.record_move(before, after);
        }
        ledger.sweep_done(ModelVersion::FIRST, Timestamp::from_millis(7));
        let counts: Vec<_> = ledger.counts().collect();
        assert_eq!(counts, [(SegmentId::new(1), 1), (SegmentId::new(2), 1)]);
        // A user who was never counted cannot make a count negative.
        ledger.record_move(Some(SegmentId::new(9)), None);
        assert_eq!(PartitionLedger::decode(&ledger.encode()).expect("what was encoded"), ledger);
        assert_eq!(PartitionLedger::decode(&[]).expect("an empty ledger"), PartitionLedger::default());
    }
}

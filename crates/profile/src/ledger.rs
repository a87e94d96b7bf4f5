//! What the owner of a partition notes of it: how many shoppers are in each segment, for which model everybody was looked at
//! last, and how far erasures are. It changes in the same commit as the profiles, so that the counts are exact without counting.

use crate::codec::{self, DecodeError};
use crate::erasure::ErasureLedger;
use crate::segment::{ModelVersion, SegmentId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The note of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionLedger {
    /// Shoppers by segment; a segment without shoppers is not here.
    counts: BTreeMap<SegmentId, u64>,
    /// The newest model that everybody was looked at for, and when that was done.
    swept: Option<(ModelVersion, Timestamp)>,
    /// How far erasures are. Dropping it lets versions restart, and erasures be swept for again.
    erasures: ErasureLedger,
}

impl PartitionLedger {
    /// Counts a shopper who was in `before` and is in `after`.
    pub fn record_move(&mut self, before: Option<SegmentId>, after: Option<SegmentId>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            let left = self.counts.get(&before).map_or(0, |count| count.saturating_sub(1));
            if left == 0 {
                self.counts.remove(&before);
            } else {
                self.counts.insert(before, left);
            }
        }
        if let Some(after) = after {
            *self.counts.entry(after).or_default() += 1;
        }
    }

    /// Notes that everybody was looked at for a model.
    pub fn sweep_done(&mut self, version: ModelVersion, at: Timestamp) {
        self.swept = Some((version, at));
    }

    /// The newest model that everybody was looked at for, and when that was done.
    pub fn swept(&self) -> Option<(ModelVersion, Timestamp)> {
        self.swept
    }

    /// How far erasures are.
    pub fn erasures(&self) -> ErasureLedger {
        self.erasures
    }

    /// The same, to note more.
    pub fn erasures_mut(&mut self) -> &mut ErasureLedger {
        &mut self.erasures
    }

    /// Shoppers by segment.
    pub fn counts(&self) -> impl Iterator<Item = (SegmentId, u64)> {
        self.counts.iter().map(|(id, count)| (*id, *count))
    }

    /// The bytes for the store: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(codec::LEDGER_VERSION, self)
    }

    /// The note of such bytes; no bytes are an empty one. Fails on bytes that are damaged or were written by a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.is_empty() { Ok(Self::default()) } else { codec::decode(codec::LEDGER_VERSION, bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shoppers_are_counted_where_they_are() {
        let (one, two) = (Some(SegmentId::new(1)), Some(SegmentId::new(2)));
        let mut ledger = PartitionLedger::default();
        for (before, after) in [(None, one), (None, one), (None, two), (one, two), (two, two), (two, None)] {
            ledger.record_move(before, after);
        }
        ledger.sweep_done(ModelVersion::FIRST, Timestamp::from_millis(7));
        let counts: Vec<_> = ledger.counts().collect();
        assert_eq!(counts, [(SegmentId::new(1), 1), (SegmentId::new(2), 1)]);
        // Who was never counted cannot make a count negative.
        ledger.record_move(Some(SegmentId::new(9)), None);
        assert_eq!(PartitionLedger::decode(&ledger.encode()).expect("what was encoded"), ledger);
        assert_eq!(PartitionLedger::decode(&[]).expect("nothing noted"), PartitionLedger::default());
    }
}

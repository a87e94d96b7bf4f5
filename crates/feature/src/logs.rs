//! Sizes of the logs that this process owns, and the oldest erasure that waits in each partition, as of its newest trim. It is below the workers and depends on none of them.

use portrait_profile::{PartitionId, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Log of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogExtent {
    /// Size in bytes.
    pub(crate) bytes: u64,
    /// Arrival of the oldest retained record, if known.
    pub(crate) oldest_at: Option<Timestamp>,
}

/// Logs of the owned partitions.
#[derive(Default)]
pub(crate) struct OwnedLogs {
    extents: Mutex<BTreeMap<PartitionId, LogExtent>>,
    /// Time of the oldest erasure that is not complete, by partition.
    erasures: Mutex<BTreeMap<PartitionId, Timestamp>>,
}

/// Totals over the owned partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LogTotals {
    /// Bytes of all logs.
    pub(crate) bytes: u64,
    /// Bytes above the bound of their partition, added up.
    pub(crate) excess_bytes: u64,
    /// Age of the oldest record in seconds; 0 without a record.
    pub(crate) age_seconds: f64,
}

impl OwnedLogs {
    /// Notes the log of a partition of this process.
    pub(crate) fn note(&self, partition: PartitionId, extent: LogExtent) {
        self.extents().insert(partition, extent);
    }

    /// Removes a partition that this process no longer owns.
    pub(crate) fn remove(&self, partition: PartitionId) {
        self.extents().remove(&partition);
        self.erasures().remove(&partition);
    }

    /// Notes the oldest erasure of a partition that is not complete, if there is one.
    pub(crate) fn note_erasure(&self, partition: PartitionId, oldest: Option<Timestamp>) {
        let mut erasures = self.erasures();
        match oldest {
            Some(at) => drop(erasures.insert(partition, at)),
            None => drop(erasures.remove(&partition)),
        }
    }

    /// Returns the age in seconds of the oldest erasure that is not complete; 0 without one.
    pub(crate) fn oldest_erasure_seconds(&self, now: Timestamp) -> f64 {
        let oldest = self.erasures().values().copied().min();
        oldest.map_or(0.0, |at| now.since(at).millis().max(0) as f64 / 1000.0)
    }

    /// Returns the totals at `now`; `bytes_max` is the bound of one partition, if there is one.
    pub(crate) fn totals(&self, now: Timestamp, bytes_max: Option<u64>) -> LogTotals {
        let extents = self.extents();
        let oldest_at = extents.values().filter_map(|extent| extent.oldest_at).min();
        let most = bytes_max.unwrap_or(u64::MAX);
        LogTotals {
            bytes: extents.values().map(|extent| extent.bytes).sum(),
            excess_bytes: extents.values().map(|extent| extent.bytes.saturating_sub(most)).sum(),
            // A clock of another node may be ahead: a negative age counts as none.
            age_seconds: oldest_at.map_or(0.0, |at| now.since(at).millis().max(0) as f64 / 1000.0),
        }
    }

    fn erasures(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Timestamp>> {
        self.erasures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn extents(&self) -> MutexGuard<'_, BTreeMap<PartitionId, LogExtent>> {
        self.extents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_profile::PartitionCount;

    #[test]
    fn the_oldest_erasure_of_all_owned_partitions_counts_until_it_is_complete() {
        let partitions = PartitionCount::new(2).expect("two");
        let [one, two] = [0, 1].map(|number| partitions.partition(number).expect("there"));
        let at = Timestamp::from_millis;
        let logs = OwnedLogs::default();
        assert_eq!(logs.oldest_erasure_seconds(at(9_000)), 0.0);
        logs.note_erasure(one, Some(at(5_000)));
        logs.note_erasure(two, Some(at(2_000)));
        assert_eq!(logs.oldest_erasure_seconds(at(9_000)), 7.0);
        logs.note_erasure(two, None);
        assert_eq!(logs.oldest_erasure_seconds(at(9_000)), 4.0);
        // A clock of another node may be ahead.
        assert_eq!(logs.oldest_erasure_seconds(at(1_000)), 0.0);
        logs.remove(one);
        assert_eq!(logs.oldest_erasure_seconds(at(9_000)), 0.0);
    }

    #[test]
    fn totals_are_of_the_owned_partitions_and_excess_is_counted_by_partition() {
        let partitions = PartitionCount::new(3).expect("three");
        let now = Timestamp::from_millis(100_000);
        let logs = OwnedLogs::default();
        assert_eq!(logs.totals(now, Some(10)), LogTotals::default());
        for (partition, (bytes, oldest_ms)) in
            partitions.all().zip([(100, Some(40_000)), (30, Some(70_000)), (9, None)])
        {
            let oldest_at = oldest_ms.map(Timestamp::from_millis);
            logs.note(partition, LogExtent { bytes, oldest_at });
        }
        let totals = |bytes, excess_bytes, age_seconds| LogTotals { bytes, excess_bytes, age_seconds };
        // A partition below its bound does not make up for one above it.
        assert_eq!(logs.totals(now, Some(40)), totals(139, 60, 60.0));
        assert_eq!(logs.totals(now, None), totals(139, 0, 60.0));
        logs.remove(partitions.partition(0).expect("there"));
        assert_eq!(logs.totals(now, Some(40)), totals(39, 0, 30.0));
        assert_eq!(logs.totals(Timestamp::EPOCH, None).age_seconds, 0.0);
    }
}

//! Trims of a partition: at an interval, and as soon as an eighth of the log's bound of bytes was applied since the last one. One
//! bounded step per turn of the worker, so that a long trim does not delay records.

use crate::context::FeatureContext;
use crate::error::Error;
use crate::logs::LogExtent;
use portrait_profile::{PartitionId, Timestamp};
use portrait_store::Trim;

/// Part of the bound after which a log is trimmed before the interval ends. The log exceeds its bound by about as much: smaller
/// parts would trim more often for less.
const EARLY_TRIM_PART: u64 = 8;

/// Due times of a partition's trims.
pub(super) struct TrimSchedule {
    trimmed_at: Timestamp,
    /// True if the last trim was ended by a bound of the store: the next turn continues.
    pending: bool,
    /// Bytes of records applied since the last trim.
    applied_bytes: u64,
}

impl TrimSchedule {
    /// Returns a schedule whose first trim is due an interval after `now`.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { trimmed_at: now, pending: false, applied_bytes: 0 }
    }

    /// Returns true if the next step must not wait for records.
    pub(super) fn is_pending(&self) -> bool {
        self.pending
    }

    /// Counts the bytes of applied records.
    pub(super) fn applied(&mut self, bytes: u64) {
        self.applied_bytes += bytes;
    }

    /// Trims log and feed by one step if one is due. Returns true if that completed a trim.
    pub(super) async fn advance(
        &mut self,
        shared: &FeatureContext,
        partition: PartitionId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let FeatureContext { config, store, .. } = shared;
        let log_bytes_max = config.log_bytes_of_partition(store.layout().partitions);
        let is_early = log_bytes_max.is_some_and(|most| self.applied_bytes > most / EARLY_TRIM_PART);
        if !self.pending && !is_early && now.since(self.trimmed_at) < config.trim_interval {
            return Ok(false);
        }
        self.trimmed_at = now;
        self.applied_bytes = 0;
        let what = Trim {
            now,
            log_before: now.minus(config.log_retention),
            log_bytes_max,
            feed_before: now.minus(config.feed_retention),
        };
        let trimmed = store.trim(partition, what).await?;
        tracing::debug!(%partition, ?trimmed, "trimmed");
        self.pending = trimmed.more;
        if !trimmed.more {
            let extent = LogExtent { bytes: trimmed.log_bytes, oldest_at: trimmed.log_oldest_at };
            shared.logs.note(partition, extent);
        }
        Ok(!trimmed.more)
    }
}

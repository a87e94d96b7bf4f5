//! Progress of an erasure, read from the partitions: from the position of its record in the user's own partition and in the
//! coordinator, which the receipt has, and from the user's tombstone in all others.
//!
//! ```text
//! tombstone of the coordinator    tombstone here              the erasure here is
//! expired                         any                         complete
//! present, or not written yet     of this erasure or later    as far as the ledger covers that tombstone
//! present, or not written yet     none, or of an earlier one  not applied; lost if nothing is left to apply
//! ```

use crate::context::IngestContext;
use crate::error::Error;
use futures::future::try_join_all;
use portrait_profile::{
    ErasureLedger, LogSeq, PartitionId, PartitionLedger, Pseudonym, Timestamp, Tombstone,
};
use portrait_proto::v1::ErasureState;
use portrait_store::{LogPosition, PartitionMeta};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a partition without the tombstone to apply what it had at the start of the call. It tells a lost record from
/// one that is not applied yet while the log is never idle.
const APPLY_WAIT: Duration = Duration::from_millis(250);

/// Erasure that a receipt names.
pub(super) struct KnownErasure {
    pub(super) accepted_at: Timestamp,
    pub(super) pseudonym: Pseudonym,
    /// Partition whose tombstone expires first, once all partitions are done.
    pub(super) coordinator: PartitionId,
    /// Positions of the records that name the user or that the coordinator has; at most two.
    pub(super) positions: Vec<(PartitionId, LogPosition)>,
}

/// Progress of an erasure: partitions by completed step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ErasureProgress {
    pub(super) partitions: u32,
    pub(super) applied: u32,
    pub(super) swept: u32,
    pub(super) trimmed: u32,
    pub(super) cleared: u32,
}

/// State of a partition, and the tombstone of the user there.
struct PartitionView {
    partition: PartitionId,
    meta: PartitionMeta,
    erasures: ErasureLedger,
    tombstone: Option<Tombstone>,
}

impl KnownErasure {
    /// Reads the progress from all partitions.
    ///
    /// # Errors
    /// Fails if the store cannot be read or has lost a record, or a ledger or tombstone cannot be decoded.
    pub(super) async fn progress(&self, shared: &IngestContext) -> Result<ErasureProgress, Error> {
        let views = self.views(shared).await?;
        let is_closed = self.is_closed(&views);
        // A later erasure is perhaps not in all logs yet, so that it cannot count as lost; its own receipt tells.
        let coordinator = &views[self.coordinator.index()];
        let is_superseded = coordinator.tombstone.is_some_and(|newest| newest.accepted_at > self.accepted_at);
        let mut progress = ErasureProgress::default();
        let mut has_waited = false;
        for view in &views {
            if let Some((_, position)) = self.positions.iter().find(|(at, _)| *at == view.partition) {
                progress.count(position.seq, view.meta.applied_through >= position.seq, view);
            } else if is_closed {
                progress.count_complete();
            } else if let Some(log_seq) = self.applied_at(view) {
                progress.count(log_seq, true, view);
            } else {
                // One wait for a call: an answer must not take longer the more partitions lag.
                let wait = if has_waited { Duration::ZERO } else { APPLY_WAIT };
                has_waited = true;
                if !is_superseded {
                    self.check_retained(shared, view, wait).await?;
                }
                progress.partitions += 1;
            }
        }
        Ok(progress)
    }

    /// Reads all partitions. The states come before the tombstones: what a state says is applied has its tombstone then, unless
    /// it expired. The coordinator's tombstone comes last, since it is the first to expire.
    async fn views(&self, shared: &IngestContext) -> Result<Vec<PartitionView>, Error> {
        let partitions: Vec<PartitionId> = shared.store.layout().partitions.all().collect();
        let metas = try_join_all(partitions.iter().map(|partition| shared.store.meta(*partition))).await?;
        let others = partitions.iter().filter(|partition| **partition != self.coordinator);
        let others = try_join_all(others.map(|partition| self.tombstone(shared, *partition))).await?;
        let coordinators = self.tombstone(shared, self.coordinator).await?;
        let mut others = others.into_iter();
        let views = partitions.into_iter().zip(metas).map(|(partition, meta)| {
            let ledger = PartitionLedger::decode(&meta.note)
                .map_err(|source| Error::Ledger { source: Arc::new(source) })?;
            let is_coordinator = partition == self.coordinator;
            let tombstone = if is_coordinator { coordinators } else { others.next().flatten() };
            Ok(PartitionView { partition, meta, erasures: ledger.erasures(), tombstone })
        });
        views.collect()
    }

    async fn tombstone(
        &self,
        shared: &IngestContext,
        partition: PartitionId,
    ) -> Result<Option<Tombstone>, Error> {
        let found = shared.store.tombstones(partition, &[self.pseudonym]).await?;
        let tombstone = found.into_iter().flatten().next().map(|bytes| Tombstone::decode(&bytes));
        tombstone.transpose().map_err(|source| Error::Ledger { source: Arc::new(source) })
    }

    /// Returns true if the coordinator applied the erasure and let its tombstone expire: every partition was done before.
    fn is_closed(&self, views: &[PartitionView]) -> bool {
        let coordinator = &views[self.coordinator.index()];
        let position = self.positions.iter().find(|(partition, _)| *partition == self.coordinator);
        let is_applied = position.is_some_and(|(_, at)| coordinator.meta.applied_through >= at.seq);
        is_applied && coordinator.tombstone.is_none()
    }

    /// Returns the position of the newest erasure of the user in a partition that has applied this one, or a later one: the
    /// later one removes all that this one does.
    fn applied_at(&self, view: &PartitionView) -> Option<LogSeq> {
        let tombstone = view.tombstone.filter(|tombstone| tombstone.accepted_at >= self.accepted_at)?;
        Some(tombstone.log_seq)
    }

    /// Checks that the record may still be in the log of a partition without its tombstone.
    ///
    /// # Errors
    /// `ErasureLost` if everything is applied and there is still no tombstone; store errors.
    async fn check_retained(
        &self,
        shared: &IngestContext,
        view: &PartitionView,
        wait: Duration,
    ) -> Result<(), Error> {
        // A receipt is issued once the record is in all logs, so it was at or before the end that the view read, or is lost.
        let log_end = view.meta.log_end;
        if view.meta.applied_through < log_end {
            let meta = shared.store.wait_applied(view.partition, log_end, wait).await?;
            if meta.applied_through < log_end {
                return Ok(());
            }
            let tombstone = self.tombstone(shared, view.partition).await?;
            if tombstone.is_some_and(|tombstone| tombstone.accepted_at >= self.accepted_at) {
                return Ok(());
            }
        }
        Err(Error::ErasureLost { partition: view.partition })
    }
}

impl ErasureProgress {
    /// Counts a partition in which the record of the erasure is at `seq`.
    fn count(&mut self, seq: LogSeq, is_applied: bool, view: &PartitionView) {
        self.partitions += 1;
        self.applied += u32::from(is_applied);
        self.swept += u32::from(is_applied && view.erasures.is_swept(seq));
        self.trimmed += u32::from(view.meta.log_first > seq);
        self.cleared += u32::from(view.erasures.is_cleared(seq));
    }

    /// Counts a partition that was done before the coordinator's tombstone expired.
    fn count_complete(&mut self) {
        self.partitions += 1;
        self.applied += 1;
        self.swept += 1;
        self.trimmed += 1;
        self.cleared += 1;
    }

    /// Returns the state that all partitions have reached.
    pub(super) fn state(self) -> ErasureState {
        // Cleared without swept is possible: a trim does not wait for a sweep. Complete needs both.
        let is_swept = self.swept == self.partitions;
        if is_swept && self.cleared == self.partitions {
            ErasureState::Complete
        } else if is_swept && self.applied == self.partitions {
            ErasureState::Applied
        } else {
            ErasureState::Accepted
        }
    }

    /// Describes the first stage that some partitions have not completed; empty if the erasure is complete.
    pub(super) fn slowest_stage(self) -> String {
        let total = self.partitions;
        if self.applied < total {
            format!("{} of {total} partitions to apply it", total - self.applied)
        } else if self.swept < total {
            format!("{} of {total} partitions to remove edges to the user", total - self.swept)
        } else if self.trimmed < total {
            format!("the log of {} of {total} partitions to be trimmed", total - self.trimmed)
        } else if self.cleared < total {
            let left = total - self.cleared;
            format!(
                "models sampled before it to be removed and store files to be rewritten, for {left} of {total} partitions"
            )
        } else {
            String::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_erasure_has_the_state_of_the_slowest_partition() {
        let progress = |applied, swept, trimmed, cleared| ErasureProgress {
            partitions: 4,
            applied,
            swept,
            trimmed,
            cleared,
        };
        let rows = [
            (progress(0, 0, 0, 0), ErasureState::Accepted, "4 of 4 partitions to apply it"),
            (progress(3, 2, 0, 0), ErasureState::Accepted, "1 of 4 partitions to apply it"),
            (progress(4, 2, 0, 0), ErasureState::Accepted, "2 of 4 partitions to remove edges"),
            (progress(4, 4, 1, 0), ErasureState::Applied, "the log of 3 of 4 partitions"),
            (progress(4, 4, 4, 3), ErasureState::Applied, "files to be rewritten, for 1 of 4"),
            (progress(4, 4, 4, 4), ErasureState::Complete, ""),
        ];
        for (progress, state, waiting_for) in rows {
            assert_eq!(progress.state(), state, "{progress:?}");
            assert!(progress.slowest_stage().contains(waiting_for), "{}", progress.slowest_stage());
        }
    }
}

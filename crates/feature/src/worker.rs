//! Worker of one assigned partition: acquires the lease, reads the log after `applied_through`, folds and commits, until shutdown
//! or until the partition is assigned elsewhere. Between two pages of the log it renews, trims, and sweeps one page of profiles.
//!
//! ```text
//! assigned ──> acquire ──> meta, tombstones ──> read_log ──> load, look up ids ──> fold ──> commit ──┐
//!                 ▲                                ▲                                                 │
//!                 │ lease lost, unknown result     └──────────────────── success ────────────────────┘
//! ```
//!
//! Invariant: the worker uses nothing from memory after a commit without a clear success. It acquires the partition again
//! and reads the stored state, which tells whether the commit happened.

mod cleanup;
mod expiry;
mod owner;
mod sweep;
mod trims;

use crate::assignment::PartitionAssignment;
use crate::batch::{LogEntry, fitting_prefix, readable};
use crate::context::FeatureContext;
use crate::error::Error;
use crate::fold::{FoldResult, OwnedPosition};
use crate::logs::LogExtent;
use crate::metrics::CommitStats;
use crate::spans::CommitSpans;
use cleanup::ErasureCleanup;
use owner::{BACKOFF_MIN, PartitionOwner};
use portrait_profile::{PartitionId, PartitionLedger, Timestamp};
use portrait_store::{Acquisition, LeaseClaim};
use std::sync::Arc;
use std::time::Duration;
use sweep::ModelSweep;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trims::TrimSchedule;

/// Longest wait for the log of an idle partition. It bounds the time until the next renewal, trim and assignment check.
const IDLE_POLL: Duration = Duration::from_millis(500);
/// Commit duration of a page from which the machine or the store counts as busy.
const COALESCE_ABOVE: Duration = Duration::from_millis(4);
/// Pause of a busy worker, in which records of the same users accumulate and then share a commit. Throughput rose from 0.39-0.42
/// to 0.46-0.51 of a bare worker loop, and the p50 at half load from 1-2 ms to 2-4 ms (`docs/results/bench.md`).
const COALESCE_FOR: Duration = Duration::from_millis(6);
/// Longest such pause: it is as long as the page took, which is longer the more partitions share the machine. With 256 partitions a
/// pause of 6 ms left few records to a commit: throughput rose from 136,000 to 168,000 events/s on Redis in memory, and from 121,000
/// to 160,000 with `appendfsync always` (`docs/results/scale.md`). With 16 and 64 it is within noise.
const COALESCE_FOR_MAX: Duration = Duration::from_millis(30);

/// Pause of a worker whose partition belongs to another process of the same name. Only the end of that process frees the lease,
/// so claims are rarer than after a lost lease; its end is noticed this much later than its time to live.
const DUPLICATE_NAME_PAUSE: Duration = Duration::from_secs(1);

/// Worker of one partition.
pub(crate) struct PartitionWorker {
    owner: PartitionOwner,
    /// Current partitions of this process.
    assignment: watch::Receiver<PartitionAssignment>,
    /// True if the next claim ends the lease of an earlier process of this name.
    takes_back: bool,
    renewed_at: Timestamp,
    trims: TrimSchedule,
    /// Scan of all profiles for a new model or for erasures.
    sweep: ModelSweep,
    /// Last steps of erasures: rewritten files and expired tombstones.
    cleanup: ErasureCleanup,
}

/// Reason why an ownership ended without an error.
enum OwnershipEnd {
    /// Shutdown, or the partition is assigned to another worker: the lease is released.
    Released,
    /// Another worker has the lease or may have it soon: there is nothing to release.
    LeaseLost,
    /// Another process with the name of this one has the lease.
    DuplicateName,
}

/// Outcome of an attempt to acquire the lease.
enum Claimed {
    /// The lease is acquired; the partition is at this position.
    Owned(OwnedPosition),
    /// Nothing is acquired.
    Refused(OwnershipEnd),
}

impl PartitionWorker {
    /// Creates a worker without a lease. `takes_back`: its first claim ends the lease of an earlier process of this name.
    pub(crate) fn new(
        shared: Arc<FeatureContext>,
        assignment: watch::Receiver<PartitionAssignment>,
        partition: PartitionId,
        takes_back: bool,
    ) -> Self {
        let trims = TrimSchedule::new(shared.now());
        Self {
            owner: PartitionOwner::new(shared, partition),
            assignment,
            takes_back,
            renewed_at: Timestamp::EPOCH,
            trims,
            sweep: ModelSweep::default(),
            cleanup: ErasureCleanup::default(),
        }
    }

    /// Owns the partition whenever the lease is free, until `shutdown` or until it is assigned elsewhere; returns the partition.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> PartitionId {
        let partition = self.owner.partition;
        while self.is_assigned() && !shutdown.is_cancelled() {
            let pause = match self.run_lease(&shutdown).await {
                Ok(OwnershipEnd::Released) => Duration::ZERO,
                // The other lease runs for seconds: trying at once would only load the store.
                Ok(OwnershipEnd::LeaseLost) => BACKOFF_MIN,
                // Only the end of the other process frees the lease.
                Ok(OwnershipEnd::DuplicateName) => DUPLICATE_NAME_PAUSE,
                Err(error) => self.owner.back_off(&error),
            };
            let _ = tokio::time::timeout(pause, shutdown.cancelled()).await;
        }
        partition
    }

    fn is_assigned(&self) -> bool {
        self.assignment.borrow().contains(self.owner.partition)
    }

    /// Runs one ownership, from the acquired lease to its end.
    async fn run_lease(&mut self, shutdown: &CancellationToken) -> Result<OwnershipEnd, Error> {
        // Another owner may have committed since the last ownership: nothing in memory is trusted.
        self.owner.clear();
        self.sweep = ModelSweep::default();
        self.cleanup = ErasureCleanup::default();
        let position = match self.acquire().await? {
            Claimed::Owned(position) => position,
            Claimed::Refused(end) => return Ok(end),
        };
        self.owner.shared.ownership.send_modify(|ownership| ownership.owned += 1);
        let token = position.token;
        let end = self.run_owner(position, shutdown).await;
        self.owner.shared.ownership.send_modify(|ownership| ownership.owned -= 1);
        self.owner.shared.logs.remove(self.owner.partition);
        // A released lease lets the next owner start at once. After an error the result of the last commit may be unknown: the
        // lease is kept until this worker acquires it again or it expires.
        if matches!(end, Ok(OwnershipEnd::Released)) {
            self.owner.shared.store.release(self.owner.partition, token).await?;
        }
        end
    }

    /// Acquires the lease and loads the state of the partition.
    async fn acquire(&mut self) -> Result<Claimed, Error> {
        let shared = &self.owner.shared;
        // The time before the request: the lease never counts as longer than the store counts it.
        let now = shared.now();
        let claim = LeaseClaim {
            takes_back: self.takes_back,
            ..LeaseClaim::new(shared.nonce, Arc::clone(&shared.name))
        };
        let acquisition =
            shared.store.acquire(self.owner.partition, &claim, shared.config.lease_ttl, now).await?;
        // Only after an answer: a claim whose result is unknown may not have reached the store.
        self.takes_back = false;
        let token = match acquisition {
            Acquisition::Acquired(token) => token,
            Acquisition::Held { by: Some(name) } if name == shared.name => {
                shared.duplicate_name();
                return Ok(Claimed::Refused(OwnershipEnd::DuplicateName));
            }
            Acquisition::Held { .. } => return Ok(Claimed::Refused(OwnershipEnd::LeaseLost)),
        };
        self.renewed_at = now;
        // Read after the acquisition: from here on no other owner can commit. A commit of this
        // worker that is still in flight after an unknown result carries an older commit number or token, and is fenced.
        let meta = self.owner.shared.store.meta(self.owner.partition).await?;
        tracing::debug!(partition = %self.owner.partition, epoch = %token.epoch, applied_through = %meta.applied_through, "partition lease acquired");
        let ledger = PartitionLedger::decode(&meta.note).map_err(|source| Error::Ledger { source })?;
        self.owner.load_tombstones().await?;
        let extent = LogExtent { bytes: meta.log_bytes, oldest_at: None };
        self.owner.shared.logs.note(self.owner.partition, extent);
        Ok(Claimed::Owned(OwnedPosition {
            token,
            commit_no: meta.commit_no,
            applied_through: meta.applied_through,
            clock: meta.clock,
            feed_end: meta.feed_end,
            ledger,
        }))
    }

    /// Applies the log until the ownership ends.
    async fn run_owner(
        &mut self,
        mut position: OwnedPosition,
        shutdown: &CancellationToken,
    ) -> Result<OwnershipEnd, Error> {
        loop {
            if shutdown.is_cancelled() || !self.is_assigned() {
                return Ok(OwnershipEnd::Released);
            }
            if !self.renew_if_due(&position).await? {
                tracing::warn!(partition = %self.owner.partition, "lease lost");
                return Ok(OwnershipEnd::LeaseLost);
            }
            // Before the log is read, one step of each: under full load the log is never empty, and trims and sweeps must still
            // advance.
            self.trim_if_due(&position).await?;
            let is_owner = self.cleanup.end(&mut self.owner, &mut position).await?
                && self.sweep.advance(&mut self.owner, &mut position).await?;
            if !is_owner {
                return Ok(OwnershipEnd::LeaseLost);
            }
            let config = &self.owner.shared.config;
            let records_max = config.batch_records;
            let read = self.owner.shared.store.read_log(
                self.owner.partition,
                position.applied_through,
                records_max,
                config.batch_bytes,
                if self.trims.is_pending() { Duration::ZERO } else { self.sweep.wait(IDLE_POLL) },
            );
            let page = tokio::select! {
                page = read => page?,
                () = shutdown.cancelled() => return Ok(OwnershipEnd::Released),
                changed = self.assignment.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Ok(OwnershipEnd::Released),
                },
            };
            if page.records.is_empty() {
                self.owner.backoff = BACKOFF_MIN;
            }
            let started_at = Instant::now();
            let is_full = page.records.len() == records_max;
            let page_bytes: usize = page.records.iter().map(|record| record.value.len()).sum();
            if !self.apply(&mut position, readable(page.records)?).await? {
                return Ok(OwnershipEnd::LeaseLost);
            }
            self.trims.applied(page_bytes as u64);
            // A full page means that more records wait already: a pause would add delay and save nothing.
            let elapsed = started_at.elapsed();
            if elapsed >= COALESCE_ABOVE && !is_full {
                let pause = elapsed.clamp(COALESCE_FOR, COALESCE_FOR_MAX);
                shutdown.run_until_cancelled(tokio::time::sleep(pause)).await;
            }
        }
    }

    /// Commits a page of the log in as many steps as the store's limits demand. False: another worker owns the partition.
    async fn apply(
        &mut self,
        position: &mut OwnedPosition,
        mut entries: Vec<LogEntry>,
    ) -> Result<bool, Error> {
        while !entries.is_empty() {
            let started_at = Instant::now();
            self.owner.load(&entries).await?;
            let limits = self.owner.shared.store.limits();
            let count = fitting_prefix(&entries, &limits, |key| self.owner.profiles.stored_bytes(key));
            let later = entries.split_off(count);
            let spans = CommitSpans::begin(&self.owner.shared.tracer, self.owner.partition, &mut entries);
            let newest_accepted_at = entries.iter().filter_map(LogEntry::accepted_at).max();
            let result = self.owner.fold(position, entries).await?;
            let FoldResult { erasures, corrected_lines, .. } = result;
            let Some(counts) = spans.around(self.owner.commit(position, result)).await? else {
                return Ok(false);
            };
            let elapsed = started_at.elapsed();
            self.owner.shared.metrics.committed(&CommitStats {
                counts,
                erasures,
                corrected_lines,
                newest_accepted_at,
                elapsed,
            });
            entries = later;
        }
        Ok(true)
    }

    /// Renews the lease if it is due. False: it is lost.
    async fn renew_if_due(&mut self, position: &OwnedPosition) -> Result<bool, Error> {
        let now = self.owner.shared.now();
        let age = now.since(self.renewed_at);
        if age < self.owner.shared.config.lease_renewal {
            return Ok(true);
        }
        let ttl = self.owner.shared.config.lease_ttl;
        let is_renewed =
            self.owner.shared.store.renew(self.owner.partition, position.token, ttl, now).await?;
        if is_renewed {
            self.renewed_at = now;
        }
        Ok(is_renewed)
    }

    /// Trims log and feed if it is due.
    async fn trim_if_due(&mut self, position: &OwnedPosition) -> Result<(), Error> {
        let now = self.owner.shared.now();
        // Only a trim can bring an erasure nearer to its end.
        if !self.trims.advance(&self.owner.shared, self.owner.partition, now).await? {
            return Ok(());
        }
        self.cleanup.begin(&mut self.owner, position, now).await
    }
}

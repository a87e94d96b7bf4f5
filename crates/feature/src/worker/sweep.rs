//! Sweep: a scan of all profiles of a partition, for a new model, because time moved profiles of inactive users to other
//! segments, or because an erased user may still have edges.
//!
//! It reads a page of profiles between two batches of the log, at a bounded rate, so that events wait for one page at most.
//! Only profiles that change segment or lose an edge are written: a retrained model that keeps segment ids moves a few
//! percent, and writing all of them would rewrite the store. One sweep serves a model and all erasures that exist when it
//! begins. Its progress is kept in memory alone; an interrupted sweep starts again, which is correct since it is idempotent.

use super::owner::PartitionOwner;
use crate::assign::Assigner;
use crate::batch::fitting_profiles_prefix;
use crate::error::Error;
use crate::fold::OwnedPosition;
use portrait_profile::{LogSeq, ModelVersion, PartitionLedger, Profile, Timestamp};
use portrait_store::{ProfilePage, ScanCursor};
use std::time::Duration;
use tokio::time::Instant;

/// Profiles per page. More: less overhead per profile, and events of the partition wait longer.
const PAGE_PROFILES: usize = 64;

/// Progress of the sweep of a partition.
#[derive(Default)]
pub(super) struct ModelSweep {
    /// Running sweep, if any.
    running: Option<RunningSweep>,
    /// Time at which the next page is due.
    next_page_at: Option<Instant>,
    /// Time that profiles are read at: one for all partitions, so that segments are independent of the partitioning.
    read_at: Timestamp,
}

/// Target of a sweep and the start of its next page.
struct RunningSweep {
    target: SweepTarget,
    /// End of the last page; none before the first.
    cursor: Option<ScanCursor>,
}

/// Reasons that a sweep serves.
#[derive(Clone, Copy, PartialEq, Eq)]
struct SweepTarget {
    /// Served model; none before the first.
    model: Option<ModelVersion>,
    /// Erasures up to this position of the log.
    erased_through: LogSeq,
}

impl ModelSweep {
    /// Returns the longest wait for the log: `idle`, or less if a page is due earlier.
    pub(super) fn wait(&self, idle: Duration) -> Duration {
        match self.next_page_at {
            Some(due) if self.running.is_some() => idle.min(due.saturating_duration_since(Instant::now())),
            _ => idle,
        }
    }

    /// Sweeps a page of profiles if one is due. False: another worker owns the partition.
    pub(super) async fn advance(
        &mut self,
        owner: &mut PartitionOwner,
        position: &mut OwnedPosition,
    ) -> Result<bool, Error> {
        // One model for the whole step: one that is served during it is swept from the first page.
        let assigner = owner.shared.assigner();
        let model = assigner.model().map(|model| model.version);
        // A sweep for an older model is dropped: the new one assigns all profiles anyway.
        if self.running.as_ref().is_none_or(|running| running.target.model != model) {
            let erasures = position.ledger.erasures();
            if !erasures.is_sweep_due() && !model.is_some_and(|version| is_due(owner, position, version)) {
                self.running = None;
                return Ok(true);
            }
            // Partitions start one after the other: together they would delay events and reads in the same instant.
            let partitions = owner.shared.store.layout().partitions;
            let fraction = f64::from(owner.partition.get()) / f64::from(partitions.get());
            let wait = owner.shared.config.sweep_pause(PAGE_PROFILES, partitions).mul_f64(fraction);
            let target = SweepTarget { model, erased_through: position.applied_through };
            *self = Self {
                read_at: owner.shared.read_at().await?,
                running: Some(RunningSweep { target, cursor: None }),
                next_page_at: Some(Instant::now() + wait),
            };
        }
        if self.next_page_at.is_some_and(|due| Instant::now() < due) {
            return Ok(true);
        }
        let Some(RunningSweep { target, cursor }) = self.running.take() else { return Ok(true) };
        let page = owner.shared.store.scan(owner.partition, cursor, PAGE_PROFILES).await?;
        let scanned = page.profiles.len();
        let next = page.next.clone();
        let was_due = position.ledger.erasures().is_sweep_due();
        let written = self.sweep_page(owner, position, &assigner, page, target).await?;
        owner.shared.metrics.swept(scanned, written.unwrap_or(0));
        let is_done = was_due && !position.ledger.erasures().is_sweep_due();
        owner.shared.metrics.erasures("swept", u64::from(is_done));
        let pause = owner.shared.config.sweep_pause(scanned, owner.shared.store.layout().partitions);
        self.next_page_at = Some(Instant::now() + pause);
        self.running = next.map(|cursor| RunningSweep { target, cursor: Some(cursor) });
        Ok(written.is_some())
    }

    /// Writes the profiles of a page that change segment or lose an edge and returns their number. `None`: another worker owns
    /// the partition.
    async fn sweep_page(
        &self,
        owner: &mut PartitionOwner,
        position: &mut OwnedPosition,
        assigner: &Assigner,
        page: ProfilePage,
        target: SweepTarget,
    ) -> Result<Option<usize>, Error> {
        let now = owner.shared.now();
        // A profile with an event newer than the sweep is read at that event: time never runs backwards for it.
        let read_at = assigner.read_at(now, position.clock.max(self.read_at));
        let is_last_page = page.next.is_none();
        let mut to_write = Vec::new();
        for (key, bytes) in page.profiles {
            let mut profile = Profile::decode(&bytes).map_err(|source| Error::cannot_read(&key, source))?;
            let tombstones = &owner.tombstones;
            let loses_edge =
                !tombstones.is_empty() && profile.remove_edges(|other, at| tombstones.blocks_edge(other, at));
            if loses_edge || assigner.changes_segment(&profile, read_at) {
                to_write.push((key, profile, bytes.len()));
            }
        }
        let mut written = 0;
        // The last page commits even without profiles: the ledger must note that the sweep is done.
        while !to_write.is_empty() || is_last_page {
            let later = to_write.split_off(fitting_profiles_prefix(
                to_write.iter().map(|(_, _, bytes)| *bytes),
                &owner.shared.store.limits(),
            ));
            let is_done = is_last_page && later.is_empty();
            // A cached profile is newer than or equal to the scanned one; only profiles that are not cached come from the page.
            let missing = owner.profiles.take_hot(to_write.iter().map(|(key, _, _)| key.clone()));
            let mut fold = owner.begin(position).not_before(self.read_at);
            for (key, profile, bytes) in to_write {
                fold.sweep_profile(key, profile, bytes, &missing);
            }
            // In the commit of the last profiles: a crash before it leaves the sweep undone, and it starts again.
            let note_end = |ledger: &mut PartitionLedger| {
                if let Some(version) = target.model.filter(|_| is_done) {
                    ledger.sweep_done(version, now);
                }
                if is_done {
                    ledger.erasures_mut().swept_through(target.erased_through);
                }
            };
            let result = fold.finish(assigner, note_end, now);
            let Some(counts) = owner.commit(position, result).await? else { return Ok(None) };
            written += counts.profiles;
            if is_done {
                break;
            }
            to_write = later;
        }
        Ok(Some(written))
    }
}

/// Returns true if all profiles must be scanned for a version of the model.
fn is_due(owner: &PartitionOwner, position: &OwnedPosition, version: ModelVersion) -> bool {
    match position.ledger.swept() {
        Some((swept, at)) if swept == version => {
            owner.shared.now().since(at) >= owner.shared.config.sweep_interval
        }
        _ => true,
    }
}

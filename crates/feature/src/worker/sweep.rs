//! Looking at everybody of a partition for a new model, or because time alone has moved those who went quiet. In comes a scan,
//! page by page at a bounded rate; out go commits with those who are in another segment now. Between two pages the log has its
//! turn, so that events are never held up by more than a page.

use super::Worker;
use crate::batch::fitting_profiles;
use crate::error::Error;
use crate::fold::{Fold, Standing};
use portrait_profile::{ModelVersion, Profile, PartitionLedger, Timestamp};
use portrait_store::{ProfilePage, ScanCursor};
use std::time::{Duration, Instant};

/// Profiles that are looked at in one go. More: less work for each, and events of the partition wait longer for their turn.
const PAGE_PROFILES: usize = 64;

/// How far a worker has come.
#[derive(Default)]
pub(super) struct Sweep {
    /// The model that it is under way for, and where the next page begins.
    under_way: Option<(ModelVersion, Option<ScanCursor>)>,
    /// When the next page is due.
    next_page_at: Option<Instant>,
    /// The moment that profiles are read at: one for all partitions, whichever of them had the newest event.
    moment: Timestamp,
}

impl Sweep {
    /// How long a worker may wait for the log, at most `idle`.
    pub(super) fn wait(&self, idle: Duration) -> Duration {
        match self.next_page_at {
            Some(due) if self.under_way.is_some() => idle.min(due.saturating_duration_since(Instant::now())),
            _ => idle,
        }
    }
}

impl Worker {
    /// Looks at a page of profiles if one is due. False: the partition is somebody else's.
    pub(super) async fn sweep_if_due(&mut self, standing: &mut Standing) -> Result<bool, Error> {
        let Some(version) = self.shared.model.borrow().as_ref().map(|model| model.version) else {
            return Ok(true);
        };
        if self.sweep.under_way.as_ref().is_none_or(|(known, _)| *known != version) {
            if !self.is_sweep_due(standing, version) {
                return Ok(true);
            }
            // Partitions begin one after the other: all at once would be a moment in which nobody answers.
            let partitions = self.shared.store.layout().partitions;
            let turn = f64::from(self.partition.get()) / f64::from(partitions.get());
            let wait = self.shared.config.sweep_pause(PAGE_PROFILES, partitions).mul_f64(turn);
            let moment = self.shared.profile_clock.now(&*self.shared.store, self.shared.now()).await?;
            let next_page_at = Some(Instant::now() + wait);
            self.sweep = Sweep { under_way: Some((version, None)), next_page_at, moment };
        }
        if self.sweep.next_page_at.is_some_and(|due| Instant::now() < due) {
            return Ok(true);
        }
        let cursor = self.sweep.under_way.take().and_then(|(_, cursor)| cursor);
        let page = self.shared.store.scan(self.partition, cursor, PAGE_PROFILES).await?;
        let (looked_at, next) = (page.profiles.len(), page.next.clone());
        let moved = self.sweep_page(standing, page).await?;
        self.shared.metrics.swept(looked_at, moved.unwrap_or(0));
        let pause = self.shared.config.sweep_pause(looked_at, self.shared.store.layout().partitions);
        self.sweep.next_page_at = Some(Instant::now() + pause);
        self.sweep.under_way = next.map(|cursor| (version, Some(cursor)));
        Ok(moved.is_some())
    }

    fn is_sweep_due(&self, standing: &Standing, version: ModelVersion) -> bool {
        match standing.ledger.swept() {
            Some((swept, at)) if swept == version => {
                self.shared.now().since(at) >= self.shared.config.sweep_interval
            }
            _ => true,
        }
    }

    /// Moves those of a page who are elsewhere now, and says how many. None: the partition is somebody else's.
    async fn sweep_page(
        &mut self,
        standing: &mut Standing,
        page: ProfilePage,
    ) -> Result<Option<usize>, Error> {
        let (assigner, now) = (self.shared.assigner(), self.shared.now());
        // Its own newest event may be newer than the sweep.
        let moment = assigner.moment(now, standing.clock.max(self.sweep.moment));
        let last = page.next.is_none();
        let mut moving = Vec::new();
        for (key, bytes) in page.profiles {
            let profile = Profile::decode(&bytes).map_err(|source| super::unreadable(&key, source))?;
            if assigner.moves(&profile, moment) {
                moving.push((key, profile, bytes.len()));
            }
        }
        let mut moved = 0;
        while !moving.is_empty() || last {
            let later = moving.split_off(fitting_profiles(
                moving.iter().map(|(_, _, bytes)| *bytes),
                &self.shared.store.limits(),
            ));
            let done = last && later.is_empty();
            // What a worker holds already is what the store has; what it does not hold comes from the page.
            let held = self.profiles.take(moving.iter().map(|(key, _, _)| key.clone()));
            let fold = Fold::begin(standing, self.shared.config.clock_jump, &mut self.profiles);
            let mut fold = fold.not_before(self.sweep.moment);
            for (key, profile, bytes) in moving {
                fold.look_at(key, profile, bytes, &held);
            }
            let note = |ledger: &mut PartitionLedger| {
                if let Some(model) = assigner.model().filter(|_| done) {
                    ledger.sweep_done(model.version, now);
                }
            };
            let (commit, ledger) = fold.finish(&assigner, note, now);
            let Some((_, profiles)) = self.commit(standing, commit, ledger).await? else { return Ok(None) };
            moved += profiles;
            if done {
                break;
            }
            moving = later;
        }
        Ok(Some(moved))
    }
}

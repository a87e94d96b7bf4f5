//! Looking at everybody of a partition for a new model, because time alone has moved those who went quiet, or because somebody was
//! erased to whom others may have edges. In comes a scan, page by page at a bounded rate; out go commits with those who are in
//! another segment now, and those who lose an edge. Between two pages the log has its turn, so that events are never held up by
//! more than a page. One sweep serves a model and all erasures there are when it begins; one that is cut off is done again.

use super::owner::Owner;
use crate::batch::fitting_profiles;
use crate::error::Error;
use crate::fold::Standing;
use portrait_profile::{LogPlace, ModelVersion, PartitionLedger, Profile, Timestamp};
use portrait_store::{ProfilePage, ScanCursor};
use std::time::Duration;
use tokio::time::Instant;

/// Profiles that are looked at in one go. More: less work for each, and events of the partition wait longer for their turn.
const PAGE_PROFILES: usize = 64;

/// How far a worker has come.
#[derive(Default)]
pub(super) struct Sweep {
    /// What it is under way for, and where the next page begins.
    under_way: Option<(Goal, Option<ScanCursor>)>,
    /// When the next page is due.
    next_page_at: Option<Instant>,
    /// The moment that profiles are read at: one for all partitions, whichever of them had the newest event.
    moment: Timestamp,
}

/// What everybody is looked at for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Goal {
    /// The model that is served.
    model: Option<ModelVersion>,
    /// Erasures up to there.
    erased_through: LogPlace,
}

impl Sweep {
    /// How long a worker may wait for the log, at most `idle`.
    pub(super) fn wait(&self, idle: Duration) -> Duration {
        match self.next_page_at {
            Some(due) if self.under_way.is_some() => idle.min(due.saturating_duration_since(Instant::now())),
            _ => idle,
        }
    }

    /// Looks at a page of profiles if one is due. False: the partition is somebody else's.
    pub(super) async fn advance(
        &mut self,
        owner: &mut Owner,
        standing: &mut Standing,
    ) -> Result<bool, Error> {
        let model = owner.shared.model.borrow().as_ref().map(|model| model.version);
        if self.under_way.as_ref().is_none_or(|(goal, _)| goal.model != model) {
            let erasures = standing.ledger.erasures();
            if !erasures.is_sweep_due() && !model.is_some_and(|version| is_due(owner, standing, version)) {
                self.under_way = None;
                return Ok(true);
            }
            // Partitions begin one after the other: all at once would be a moment in which nobody answers.
            let partitions = owner.shared.store.layout().partitions;
            let turn = f64::from(owner.partition.get()) / f64::from(partitions.get());
            let wait = owner.shared.config.sweep_pause(PAGE_PROFILES, partitions).mul_f64(turn);
            let moment = owner.shared.moment().await?;
            let next_page_at = Some(Instant::now() + wait);
            let goal = Goal { model, erased_through: LogPlace(standing.applied_through.get()) };
            *self = Self { under_way: Some((goal, None)), next_page_at, moment };
        }
        if self.next_page_at.is_some_and(|due| Instant::now() < due) {
            return Ok(true);
        }
        let Some((goal, cursor)) = self.under_way.take() else { return Ok(true) };
        let page = owner.shared.store.scan(owner.partition, cursor, PAGE_PROFILES).await?;
        let (looked_at, next) = (page.profiles.len(), page.next.clone());
        let was_due = standing.ledger.erasures().is_sweep_due();
        let moved = self.sweep_page(owner, standing, page, goal).await?;
        owner.shared.metrics.swept(looked_at, moved.unwrap_or(0));
        let is_done = was_due && !standing.ledger.erasures().is_sweep_due();
        owner.shared.metrics.erasures("swept", u64::from(is_done));
        let pause = owner.shared.config.sweep_pause(looked_at, owner.shared.store.layout().partitions);
        self.next_page_at = Some(Instant::now() + pause);
        self.under_way = next.map(|cursor| (goal, Some(cursor)));
        Ok(moved.is_some())
    }

    /// Moves those of a page who are elsewhere now, drops edges to those who were erased, and says how many were written. None:
    /// the partition is somebody else's.
    async fn sweep_page(
        &self,
        owner: &mut Owner,
        standing: &mut Standing,
        page: ProfilePage,
        goal: Goal,
    ) -> Result<Option<usize>, Error> {
        let (assigner, now) = (owner.shared.assigner(), owner.shared.now());
        // Its own newest event may be newer than the sweep.
        let moment = assigner.moment(now, standing.clock.max(self.moment));
        let last = page.next.is_none();
        let mut moving = Vec::new();
        for (key, bytes) in page.profiles {
            let mut profile = Profile::decode(&bytes).map_err(|source| Error::unreadable(&key, source))?;
            let loses =
                !owner.erased.is_empty() && profile.forget_edges(|other, at| owner.erased.is_gone(other, at));
            if loses || assigner.moves(&profile, moment) {
                moving.push((key, profile, bytes.len()));
            }
        }
        let mut moved = 0;
        while !moving.is_empty() || last {
            let later = moving.split_off(fitting_profiles(
                moving.iter().map(|(_, _, bytes)| *bytes),
                &owner.shared.store.limits(),
            ));
            let done = last && later.is_empty();
            // What a worker holds already is what the store has; what it does not hold comes from the page.
            let held = owner.profiles.take(moving.iter().map(|(key, _, _)| key.clone()));
            let mut fold = owner.begin(standing).not_before(self.moment);
            for (key, profile, bytes) in moving {
                fold.look_at(key, profile, bytes, &held);
            }
            let note = |ledger: &mut PartitionLedger| {
                if let Some(model) = assigner.model().filter(|_| done) {
                    ledger.sweep_done(model.version, now);
                }
                if done {
                    ledger.erasures_mut().swept_through(goal.erased_through);
                }
            };
            let folded = fold.finish(&assigner, note, now);
            let Some((_, profiles)) = owner.commit(standing, folded).await? else { return Ok(None) };
            moved += profiles;
            if done {
                break;
            }
            moving = later;
        }
        Ok(Some(moved))
    }
}

/// Whether everybody is to be looked at for a version of the model.
fn is_due(owner: &Owner, standing: &Standing, version: ModelVersion) -> bool {
    match standing.ledger.swept() {
        Some((swept, at)) if swept == version => {
            owner.shared.now().since(at) >= owner.shared.config.sweep_interval
        }
        _ => true,
    }
}

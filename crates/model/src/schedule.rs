//! Training scheduler: decides when a model is trained, and that only one process does it. Input: the clock, the
//! applied records, drift checks, and commands. Output: trainings, one at a time. The training lease is held in the
//! store: a process that loses it publishes nothing.

use crate::command::{Activation, ProgressReporter, SegmentCount, TrainerCommand, TrainingResult};
use crate::context::ModelContext;
use crate::drift::DriftMonitor;
use crate::erasures::AppliedBefore;
use crate::error::Error;
use crate::former;
use crate::manifest;
use crate::orphans;
use crate::publish::{self, PublishOptions};
use crate::sample::{self, SampleLimits};
use crate::train::{self, TrainedModel, TrainingTask, USERS_MIN};
use portrait_learning::Model;
use portrait_profile::{ModelVersion, PartitionLedger, TimeDelta, Timestamp};
use portrait_proto::status::with_causes;
use portrait_proto::v1::{DriftStatus, TrainingCause};
use portrait_store::{Acquisition, LeaseClaim, LeaseToken, Registry};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Interval of the trigger check. It reads one counter per partition, so it may be short.
const TRIGGER_CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// Checks without a new record after which an import counts as ended: one second. A file is read without pauses that long.
const QUIET_CHECKS: u32 = 5;
/// Age of a model from which growth alone triggers a training while records keep coming. Shorter, and an import of minutes would
/// share the machine with several trainings.
const GROWTH_AGE_MIN: TimeDelta = TimeDelta::from_minutes(10);

/// Task that checks triggers and trains while this process holds the lease.
pub(crate) struct Trainer {
    shared: Arc<ModelContext>,
    commands: mpsc::Receiver<TrainerCommand>,
    drift: DriftMonitor,
    drift_checked_at: Timestamp,
    /// Applied records at the newest drift check, and at the newest attempt to train.
    drift_checked_applied: u64,
    tried_applied: u64,
    /// Applied records at the newest check, and the number of checks since that found no more.
    seen_applied: u64,
    quiet_checks: u32,
    /// Parts of interrupted trainings may be stored; false once they are removed.
    may_have_orphans: bool,
    /// True if the next claim of the training lease ends that of an earlier process of this name.
    takes_back: bool,
}

/// Training that a trigger has made due.
struct DueTraining {
    cause: TrainingCause,
    segments: SegmentCount,
}

impl DueTraining {
    /// Training that keeps the number of segments.
    fn of(cause: TrainingCause) -> Self {
        Self { cause, segments: SegmentCount::Unchanged }
    }
}

impl Trainer {
    /// Creates a trainer that serves `commands`.
    pub(crate) fn new(shared: Arc<ModelContext>, commands: mpsc::Receiver<TrainerCommand>) -> Self {
        let drift_checked_at = shared.now();
        let drift = DriftMonitor::new(shared.config.drift_rows_min);
        Self {
            shared,
            commands,
            drift,
            drift_checked_at,
            drift_checked_applied: 0,
            tried_applied: 0,
            seen_applied: 0,
            quiet_checks: 0,
            may_have_orphans: true,
            takes_back: true,
        }
    }

    /// Runs until the service drains. A training that is running then is abandoned and publishes nothing.
    pub(crate) async fn run(mut self) {
        let closing = self.shared.closing.clone();
        closing.run_until_cancelled(self.run_loop()).await;
    }

    async fn run_loop(&mut self) {
        let mut ticks = tokio::time::interval(TRIGGER_CHECK_INTERVAL);
        // A training takes many ticks; one check after it suffices.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // Commands first: a caller waits, a trigger can be checked on the next tick.
                biased;
                Some(command) = self.commands.recv() => self.execute(command).await,
                _ = ticks.tick() => self.tick().await,
            }
        }
    }

    async fn tick(&mut self) {
        if self.may_have_orphans
            && let Err(error) = self.remove_orphans().await
        {
            tracing::warn!(
                error = with_causes(&error),
                "parts of an interrupted training cannot be removed; retrying"
            );
        }
        if self.shared.config.automatic
            && let Err(error) = self.check_triggers().await
        {
            self.shared.metrics.failed();
            tracing::warn!(error = with_causes(&error), "training failed");
        }
    }

    /// Removes the parts of a killed training, once no training runs.
    async fn remove_orphans(&mut self) -> Result<(), Error> {
        let registry = self.shared.stored_registry().await?;
        // Checked without the lease first: taking it would fence off a trainer that starts at the same time, for nothing.
        if orphans::orphans(&self.shared, &registry).await?.is_empty() {
            self.may_have_orphans = false;
            return Ok(());
        }
        let token = match self.acquire_lease(self.shared.config.lease_ttl).await {
            Ok(token) => token,
            // Held by the trainer that may have stored them: its lease ends, or it publishes them.
            Err(Error::Busy) => return Ok(()),
            Err(error) => return Err(error),
        };
        let removed = orphans::remove(&self.shared, token).await;
        self.shared.store.release_training(token).await?;
        self.may_have_orphans = removed.is_err();
        removed
    }

    async fn execute(&mut self, command: TrainerCommand) {
        // The caller may have disconnected by then.
        match command {
            TrainerCommand::Train { count, force, progress, answer } => {
                let _ = answer.send(self.train(TrainingCause::Request, count, force, progress).await);
            }
            TrainerCommand::CheckDrift { answer } => {
                let _ = answer.send(self.check_and_train().await);
            }
        }
    }

    async fn check_and_train(&mut self) -> Result<(DriftStatus, Option<TrainingResult>), Error> {
        let registry = self.shared.stored_registry().await?;
        let active = registry.active_model().ok_or(Error::NoModel)?;
        self.drift_checked_at = self.shared.now();
        self.drift_checked_applied = applied_total(&self.shared).await?;
        let (status, persists) = self.check_drift(active.version).await?.ok_or(Error::NoModel)?;
        let trained = match persists && self.shared.config.automatic {
            true => Some(
                self.train(TrainingCause::Drift, SegmentCount::Unchanged, false, ProgressReporter::silent())
                    .await,
            ),
            false => None,
        };
        Ok((status, trained))
    }

    /// Trains if a trigger is due.
    async fn check_triggers(&mut self) -> Result<(), Error> {
        let registry = self.shared.registry.borrow().clone();
        let applied = applied_total(&self.shared).await?;
        self.quiet_checks =
            if applied == self.seen_applied { self.quiet_checks.saturating_add(1) } else { 0 };
        self.seen_applied = applied;
        let Some(due) = self.due_trigger(&registry, applied).await? else { return Ok(()) };
        // Noted before the attempt, so that a training that fails is not repeated on every tick.
        self.tried_applied = applied;
        match self.train(due.cause, due.segments, false, ProgressReporter::silent()).await {
            // Expected: another process is training, or there are not enough users yet.
            Err(Error::Busy | Error::TooFew { .. } | Error::NothingToLearn { .. }) => Ok(()),
            trained => trained.map(drop),
        }
    }

    async fn due_trigger(&mut self, registry: &Registry, applied: u64) -> Result<Option<DueTraining>, Error> {
        let config = &self.shared.config;
        // Twice as many records as at the last attempt: a shop with too few users is not streamed again every 200 ms. At the end of
        // an import nothing more will come, so a single new record suffices.
        let is_quiet = self.quiet_checks >= QUIET_CHECKS;
        let is_doubled =
            applied >= self.tried_applied.saturating_mul(2) || is_quiet && applied > self.tried_applied;
        let grown = applied >= config.rows_min as u64 && is_doubled;
        let active = registry.active_model().filter(|model| publish::has_current_schema(&model.manifest));
        let Some(active) = active else {
            return Ok(grown.then(|| DueTraining::of(TrainingCause::First)));
        };
        let newest = registry.models.last().unwrap_or(active);
        let trained_applied =
            manifest::decoded(&newest.manifest).map_or(0, |manifest| manifest.applied_total);
        let new_records = applied.saturating_sub(trained_applied.max(self.tried_applied));
        // Without new records a training would return the same model.
        if new_records == 0 {
            return Ok(None);
        }
        if self.shared.now().since(newest.at) >= config.interval {
            return Ok(Some(DueTraining::of(TrainingCause::Schedule)));
        }
        if config.retrain_after_records > 0 && new_records >= config.retrain_after_records {
            return Ok(Some(DueTraining::of(TrainingCause::Volume)));
        }
        // A model that learned from less than half of the records is outdated at any age: the first model of an import has seen its
        // first second only.
        let is_settled = is_quiet || self.shared.now().since(newest.at) >= GROWTH_AGE_MIN;
        if config.retrain_on_growth && new_records >= trained_applied.max(self.tried_applied) && is_settled {
            // A shop that has doubled may have other groups of users than the few that the model saw.
            return Ok(Some(DueTraining {
                segments: SegmentCount::Auto,
                ..DueTraining::of(TrainingCause::Volume)
            }));
        }
        // A check streams a sample of all vectors, and without new records it would find the same.
        if self.shared.now().since(self.drift_checked_at) < config.drift_interval
            || applied == self.drift_checked_applied
        {
            return Ok(None);
        }
        self.drift_checked_at = self.shared.now();
        self.drift_checked_applied = applied;
        let check = self.check_drift(active.version).await?;
        let persists = check.is_some_and(|(_, persists)| persists);
        Ok(persists.then(|| DueTraining::of(TrainingCause::Drift)))
    }

    /// Checks a sample for drift and returns the status and whether it has persisted long enough; none if another
    /// model is served by now.
    async fn check_drift(&mut self, version: ModelVersion) -> Result<Option<(DriftStatus, bool)>, Error> {
        let Some(model) = publish::served(&self.shared).await?.filter(|model| model.version == version)
        else {
            return Ok(None);
        };
        let rows = self.shared.config.drift_rows;
        // Request twice the needed share: a hash sample varies in size, and a surplus is cut while a shortage cannot
        // be filled.
        let users = user_count(&self.shared, &model).await?.max(1);
        let share = (2.0 * rows as f64 / users as f64).min(1.0);
        let sample = sample::read(
            self.shared.features.clone(),
            share,
            SampleLimits::of_rows(rows),
            &ProgressReporter::silent(),
        )
        .await?;
        let status =
            self.drift.check(version, &model.drift_reference, &sample.drift_sample(), sample.as_of)?;
        self.shared.metrics.drift_checked(&status);
        if status.consecutive_checks > 0 {
            let components: Vec<&str> =
                status.components.iter().map(|drifted| drifted.name.as_str()).collect();
            let categories: Vec<&str> =
                status.categories.iter().map(|drifted| drifted.name.as_str()).collect();
            tracing::info!(
                consecutive_checks = status.consecutive_checks,
                ?components,
                ?categories,
                loyalty = status.loyalty.is_some(),
                "drift detected"
            );
        }
        self.shared.drift.send_replace(Some(status.clone()));
        let persists = status.consecutive_checks >= self.shared.config.drift_consecutive_checks;
        Ok(Some((status, persists)))
    }

    async fn train(
        &mut self,
        cause: TrainingCause,
        count: SegmentCount,
        force: bool,
        progress: ProgressReporter,
    ) -> Result<Activation, Error> {
        let store = Arc::clone(&self.shared.store);
        let ttl = self.shared.config.lease_ttl;
        let token = self.acquire_lease(ttl).await?;
        // The renewal task ends with this call, also if the training is abandoned.
        #[expect(clippy::disallowed_methods, reason = "aborted when the training ends")]
        let renewal = AbortOnDropHandle::new(tokio::spawn(renew_lease(Arc::clone(&self.shared), token)));
        let trained = self.train_with(token, cause, count, force, progress).await;
        if trained.is_err() {
            // It may have failed between two parts. Without the lease this fails too, and the next ticks try again.
            self.may_have_orphans = orphans::remove(&self.shared, token).await.is_err();
        }
        // Stopped before the release: a late renewal must not keep the lease of an ended training.
        drop(renewal);
        store.release_training(token).await?;
        trained
    }

    /// Acquires the training lease; `Busy` while another process trains.
    async fn acquire_lease(&mut self, ttl: TimeDelta) -> Result<LeaseToken, Error> {
        let shared = &self.shared;
        let claim = LeaseClaim {
            takes_back: self.takes_back,
            ..LeaseClaim::new(shared.nonce, Arc::clone(&shared.name))
        };
        let acquisition = shared.store.acquire_training(&claim, ttl, shared.now()).await?;
        // The training of an earlier process ended with it. From the second claim on, one under this name is that of a live process.
        self.takes_back = false;
        match acquisition {
            Acquisition::Acquired(token) => Ok(token),
            Acquisition::Held { by } => {
                if by.as_ref() == Some(&shared.name) {
                    tracing::error!(
                        name = &*shared.name,
                        "another process trains under this name: give each process its own profiles.node"
                    );
                }
                Err(Error::Busy)
            }
        }
    }

    async fn train_with(
        &mut self,
        token: LeaseToken,
        cause: TrainingCause,
        count: SegmentCount,
        force: bool,
        progress: ProgressReporter,
    ) -> Result<Activation, Error> {
        let started_at = tokio::time::Instant::now();
        orphans::remove(&self.shared, token).await?;
        let applied = AppliedBefore::read(&self.shared).await?;
        let registry = self.shared.stored_registry().await?;
        // From the newest version ever published, not the active one: version numbers are never reused.
        let version = registry.newest.map_or(ModelVersion::FIRST, ModelVersion::next);
        let served = publish::served(&self.shared).await?.map(Arc::new);
        let segmented = former::last_segmented(&self.shared, served.as_ref()).await?;
        // The first model by itself waits for segments; a caller gets what can be learned now.
        let users_min = if cause == TrainingCause::First { self.shared.config.rows_min } else { USERS_MIN };
        let limits = SampleLimits::of_training(&self.shared.config);
        let features = self.shared.features.clone();
        let mut sample = sample::read(features, 0.0, limits, &progress).await?;
        sample.catalogue = sample::described(&*self.shared.store, &sample.histories.items).await?;
        let config = self.shared.config.clone();
        let next_segment = publish::next_segment(&registry);
        let task = TrainingTask {
            sample,
            served,
            segmented,
            version,
            users_min,
            next_segment,
            count,
            config,
            progress: progress.clone(),
        };
        let trained = train_on_pool(task).await?;
        progress.report("publishing", 0, 0);
        let options = PublishOptions { token, cause, force, applied };
        let activation = publish::publish(&self.shared, trained, &options).await?;
        self.shared.metrics.trained(started_at.elapsed());
        Ok(activation)
    }
}

/// Trains on a separate thread pool, so that request handling continues.
async fn train_on_pool(task: TrainingTask) -> Result<TrainedModel, Error> {
    let computing = tokio::task::spawn_blocking(move || {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(task.config.threads).build();
        threads.map_err(|_| Error::Panicked)?.install(|| train::train(&task))
    });
    computing.await.map_err(|_| Error::Panicked)?
}

/// Renews the training lease while a training runs. A lost lease is detected by the publication, which the store
/// refuses.
async fn renew_lease(shared: Arc<ModelContext>, token: LeaseToken) {
    let ttl = shared.config.lease_ttl;
    // A third of the lifetime: one renewal may fail without losing the lease.
    let pause = Duration::from_millis(ttl.millis().unsigned_abs() / 3);
    loop {
        tokio::time::sleep(pause).await;
        if let Err(error) = shared.store.renew_training(token, ttl, shared.now()).await {
            tracing::warn!(%error, "training lease could not be renewed");
        }
    }
}

/// Number of records applied in all partitions since the beginning.
async fn applied_total(shared: &ModelContext) -> Result<u64, Error> {
    let mut total = 0;
    for partition in shared.store.layout().partitions.all() {
        total += shared.store.meta(partition).await?.counters.applied;
    }
    Ok(total)
}

/// Number of users with a segment, in all partitions; of a model without segments the number that it was trained on.
async fn user_count(shared: &ModelContext, model: &Model) -> Result<u64, Error> {
    if model.segments.is_empty() {
        let registry = shared.stored_registry().await?;
        return Ok(publish::manifest_of(&registry, model.version).map_or(0, |manifest| manifest.rows));
    }
    let mut total = 0;
    for partition in shared.store.layout().partitions.all() {
        let note = shared.store.meta(partition).await?.note;
        // An unreadable ledger only raises the requested share; the sample is cut to size anyway.
        let ledger = PartitionLedger::decode(&note).unwrap_or_default();
        total += ledger.counts().map(|(_, count)| count).sum::<u64>();
    }
    Ok(total)
}

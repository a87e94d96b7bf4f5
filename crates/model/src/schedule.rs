//! Training scheduler: decides when a model is trained, and that only one process does it. Input: the clock, the
//! applied records, drift checks, and commands. Output: trainings, one at a time. The training lease is held in the
//! store: a process that loses it publishes nothing.

use crate::context::Shared;
use crate::demand::{Count, Demand, Progress, Trained};
use crate::drift::Watch;
use crate::error::Error;
use crate::manifest;
use crate::publish::{self, Terms};
use crate::sample::{self, Bounds};
use crate::train::{self, Candidate, Task};
use portrait_profile::{ModelVersion, PartitionLedger, Timestamp};
use portrait_proto::status::with_causes;
use portrait_proto::v1::{DriftStatus, ModelManifest, TrainingCause};
use portrait_store::{LeaseToken, PublishedModel, Registry};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Interval of the trigger check. It reads one counter per partition, so it may be short.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Task that checks triggers and trains while this process holds the lease.
pub(crate) struct Trainer {
    shared: Arc<Shared>,
    demands: mpsc::Receiver<Demand>,
    drift: Watch,
    looked_at: Timestamp,
    /// Applied records at the newest drift check, and at the newest attempt to train.
    looked_applied: u64,
    tried_applied: u64,
}

impl Trainer {
    /// Creates a trainer that serves `commands`.
    pub(crate) fn new(shared: Arc<Shared>, demands: mpsc::Receiver<Demand>) -> Self {
        let (looked_at, drift) = (shared.now(), Watch::new(shared.config.drift_rows_min));
        Self { shared, demands, drift, looked_at, looked_applied: 0, tried_applied: 0 }
    }

    /// Runs until the service drains. A training that is running then is abandoned and publishes nothing.
    pub(crate) async fn run(mut self) {
        let closing = self.shared.closing.clone();
        closing.run_until_cancelled(self.train_on()).await;
    }

    async fn train_on(&mut self) {
        let mut ticks = tokio::time::interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // Commands first: a caller waits, a trigger can be checked on the next tick.
                biased;
                Some(demand) = self.demands.recv() => self.serve(demand).await,
                _ = ticks.tick(), if self.shared.config.automatic => {
                    if let Err(error) = self.ask().await {
                        self.shared.metrics.failed();
                        tracing::warn!(error = with_causes(&error), "training failed");
                    }
                }
            }
        }
    }

    async fn serve(&mut self, demand: Demand) {
        // The caller may have disconnected by then.
        match demand {
            Demand::Train { count, force, progress, answer } => {
                let _ = answer.send(self.train(TrainingCause::Request, count, force, progress).await);
            }
            Demand::Look { answer } => {
                let _ = answer.send(self.look_and_train().await);
            }
        }
    }

    async fn look_and_train(&mut self) -> Result<(DriftStatus, Option<Trained>), Error> {
        let registry = self.shared.stored_registry().await?;
        let active = registry.active_model().ok_or(Error::NoModel)?;
        self.looked_at = self.shared.now();
        self.looked_applied = applied_total(&self.shared).await?;
        let (status, persists) = self.look(active.version).await?.ok_or(Error::NoModel)?;
        let trained = match persists && self.shared.config.automatic {
            true => Some(self.train(TrainingCause::Drift, Count::Same, false, Progress::silent()).await),
            false => None,
        };
        Ok((status, trained))
    }

    /// Trains if a trigger is due.
    async fn ask(&mut self) -> Result<(), Error> {
        let registry = self.shared.registry.borrow().clone();
        let applied = applied_total(&self.shared).await?;
        let Some(cause) = self.cause(&registry, applied).await? else { return Ok(()) };
        self.tried_applied = applied;
        match self.train(cause, Count::Same, false, Progress::silent()).await {
            // Expected: another process is training, or there are not enough users yet.
            Err(Error::Busy | Error::TooFew { .. }) => Ok(()),
            trained => trained.map(drop),
        }
    }

    async fn cause(&mut self, registry: &Registry, applied: u64) -> Result<Option<TrainingCause>, Error> {
        let config = &self.shared.config;
        // Wait for twice as many records as at the last attempt: a shop with too few users is not streamed again
        // every 200 ms.
        let grown = applied >= (config.rows_min as u64).max(self.tried_applied.saturating_mul(2));
        let fits = |model: &&PublishedModel| publish::fits(&model.manifest);
        let Some(active) = registry.active_model().filter(fits) else {
            return Ok(grown.then_some(TrainingCause::First));
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
            return Ok(Some(TrainingCause::Schedule));
        }
        if config.volume > 0 && new_records >= config.volume {
            return Ok(Some(TrainingCause::Volume));
        }
        if self.shared.now().since(self.looked_at) < config.drift_interval || applied == self.looked_applied {
            return Ok(None);
        }
        (self.looked_at, self.looked_applied) = (self.shared.now(), applied);
        let look = self.look(active.version).await?;
        Ok(look.is_some_and(|(_, persists)| persists).then_some(TrainingCause::Drift))
    }

    /// Checks a sample for drift and returns the status and whether it has persisted long enough; none if another
    /// model is served by now.
    async fn look(&mut self, version: ModelVersion) -> Result<Option<(DriftStatus, bool)>, Error> {
        let Some(model) = publish::served(&self.shared).await?.filter(|model| model.version == version)
        else {
            return Ok(None);
        };
        let rows = self.shared.config.drift_rows;
        // Request twice the needed share: a hash sample varies in size, and a surplus is cut while a shortage cannot
        // be filled.
        let shoppers = shoppers(&self.shared).await?.max(1);
        let share = (2.0 * rows as f64 / shoppers as f64).min(1.0);
        let sample =
            sample::read(self.shared.features.clone(), share, Bounds::of_rows(rows), &Progress::silent())
                .await?;
        let status = self.drift.look(version, &model.drift_reference, &sample.seen(), sample.as_of)?;
        self.shared.metrics.looked(&status);
        if status.consecutive_checks > 0 {
            let components: Vec<&str> = status.components.iter().map(|moved| moved.name.as_str()).collect();
            let categories: Vec<&str> = status.categories.iter().map(|moved| moved.name.as_str()).collect();
            tracing::info!(
                windows = status.consecutive_checks,
                ?components,
                ?categories,
                habits = status.loyalty.is_some(),
                "drift detected"
            );
        }
        self.shared.drift.send_replace(Some(status.clone()));
        let persists = status.consecutive_checks >= self.shared.config.drift_windows;
        Ok(Some((status, persists)))
    }

    async fn train(
        &mut self,
        cause: TrainingCause,
        count: Count,
        force: bool,
        progress: Progress,
    ) -> Result<ModelManifest, Error> {
        let (store, ttl) = (Arc::clone(&self.shared.store), self.shared.config.lease_ttl);
        let lease = store.acquire_training(self.shared.nonce, ttl, self.shared.now()).await?;
        let token = lease.ok_or(Error::Busy)?;
        // The renewal task ends with this call, also if the training is abandoned.
        #[expect(clippy::disallowed_methods, reason = "aborted when the training ends")]
        let keeping = AbortOnDropHandle::new(tokio::spawn(keep(Arc::clone(&self.shared), token)));
        let trained = self.train_with(token, cause, count, force, progress).await;
        drop(keeping);
        store.release_training(token).await?;
        trained
    }

    async fn train_with(
        &mut self,
        token: LeaseToken,
        cause: TrainingCause,
        count: Count,
        force: bool,
        progress: Progress,
    ) -> Result<ModelManifest, Error> {
        let begun = tokio::time::Instant::now();
        let applied_total = applied_total(&self.shared).await?;
        let registry = self.shared.stored_registry().await?;
        let version = registry.newest.map_or(ModelVersion::FIRST, ModelVersion::next);
        let live = publish::served(&self.shared).await?.map(Arc::new);
        let bounds = Bounds::of_training(&self.shared.config);
        let features = self.shared.features.clone();
        let mut sample = sample::read(features, 0.0, bounds, &progress).await?;
        sample.catalogue = sample::described(&*self.shared.store, &sample.pasts.items).await?;
        let config = self.shared.config.clone();
        let next_segment = publish::next_segment(&registry);
        let task = Task { sample, live, version, next_segment, count, config, progress: progress.clone() };
        let candidate = computed(task).await?;
        progress.tell("publishing", 0, 0);
        let terms = Terms { token, cause, force, applied_total };
        let manifest = publish::publish(&self.shared, &candidate, &terms).await?;
        self.shared.metrics.trained(begun.elapsed());
        Ok(manifest)
    }
}

/// Trains on a separate thread pool, so that request handling continues.
async fn computed(task: Task) -> Result<Candidate, Error> {
    let computing = tokio::task::spawn_blocking(move || {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(task.config.threads).build();
        threads.map_err(|_| Error::Panicked)?.install(|| train::train(&task))
    });
    computing.await.map_err(|_| Error::Panicked)?
}

/// Renews the training lease while a training runs. A lost lease is detected by the publication, which the store
/// refuses.
async fn keep(shared: Arc<Shared>, token: LeaseToken) {
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
async fn applied_total(shared: &Shared) -> Result<u64, Error> {
    let mut total = 0;
    for partition in shared.store.layout().partitions.all() {
        total += shared.store.meta(partition).await?.counters.applied;
    }
    Ok(total)
}

/// Number of users with a segment, in all partitions.
async fn shoppers(shared: &Shared) -> Result<u64, Error> {
    let mut total = 0;
    for partition in shared.store.layout().partitions.all() {
        let note = shared.store.meta(partition).await?.note;
        let ledger = PartitionLedger::decode(&note).unwrap_or_default();
        total += ledger.counts().map(|(_, count)| count).sum::<u64>();
    }
    Ok(total)
}

//! The owner of one partition: takes its lease, reads its log from where it is applied, folds and commits, until told to
//! stop; between, it sweeps for a new model. In come the log and the model that is served; out go commits. It trusts nothing
//! it remembers after a commit that did not clearly succeed.

mod clear;
mod sweep;

use crate::assign::Assigner;
use crate::batch::{Entry, chain, fitting, readable};
use crate::cache::Profiles;
use crate::config::ValidConfig;
use crate::erased::Erased;
use crate::error::Error;
use crate::fold::{Fold, Folded, Standing};
use crate::gap::Gap;
use crate::metrics::{Done, Metrics};
use crate::roster::Share;
use crate::service::Ownership;
use crate::spans::Spans;
use clear::Clearing;
use portrait_learning::ServedModel;
use portrait_profile::{PartitionId, PartitionLedger, Profile, Timestamp, Tombstone};
use portrait_runtime::SharedClock;
use portrait_runtime::telemetry::trace::Tracer;
use portrait_store::{Counters, Nonce, ProfileClock, ProfileKey, SeenQuery, Trim, WorkerStore};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};
use sweep::Sweep;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long an idle worker waits for the log before it looks at its lease again.
const IDLE_WAIT: Duration = Duration::from_millis(500);
/// Where a page takes so long to be committed, the machine or the store is busy.
const BUSY: Duration = Duration::from_millis(4);
/// How long a worker rests then: what comes meanwhile is committed together, which takes less of everything, since much of it is of
/// the same shoppers. Whoever is not busy goes on at once.
const REST: Duration = Duration::from_millis(6);
/// How long a worker waits after an error, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// What every worker of a process shares.
pub(crate) struct Shared {
    /// Where everything is.
    pub(crate) store: Arc<dyn WorkerStore>,
    /// Which clock vectors are read by.
    pub(crate) profile_clock: ProfileClock,
    /// For leases, trimming and freshness.
    pub(crate) clock: SharedClock,
    /// The checked configuration.
    pub(crate) config: ValidConfig,
    /// What is measured.
    pub(crate) metrics: Metrics,
    /// What commits are followed with.
    pub(crate) tracer: Tracer,
    /// This process, among all that ask for leases.
    pub(crate) nonce: Nonce,
    /// What people call it.
    pub(crate) name: String,
    /// What is owned here.
    pub(crate) ownership: watch::Sender<Ownership>,
    /// The newest model.
    pub(crate) model: watch::Receiver<ServedModel>,
    /// When the store's files were last written anew for an erasure, by the clock on the wall.
    pub(crate) rewritten_at_ms: AtomicI64,
}

/// The worker of one partition.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    partition: PartitionId,
    /// What is this process's to own.
    share: watch::Receiver<Share>,
    profiles: Profiles,
    erased: Erased,
    gap: Gap,
    renewed_at: Timestamp,
    trimmed_at: Timestamp,
    /// How far it has come in looking at everybody for a new model.
    sweep: Sweep,
    /// Files that are being written anew for erasures.
    clearing: Option<Clearing>,
    /// How long it waits after the next error; set back by every commit, and when nothing is left to apply.
    backoff: Duration,
}

/// Why a worker stopped owning its partition.
enum Ending {
    /// It was told to stop, or the partition is another worker's to own.
    Given,
    /// Another owner has it, or may have it soon.
    Lost,
}

impl Worker {
    /// A worker that owns nothing yet.
    pub(crate) fn new(shared: Arc<Shared>, share: watch::Receiver<Share>, partition: PartitionId) -> Self {
        let partitions = shared.store.layout().partitions;
        let profiles = Profiles::new(shared.config.cache_bytes_of_partition(partitions));
        let gap = shared.config.gap_of_partition(partitions);
        let trimmed_at = shared.now();
        let erased = Erased::new(shared.store.layout().pseudonym_key);
        let (renewed_at, sweep, backoff) = (Timestamp::EPOCH, Sweep::default(), BACKOFF.0);
        let clearing = None;
        Self {
            shared,
            partition,
            share,
            profiles,
            erased,
            gap,
            renewed_at,
            trimmed_at,
            sweep,
            clearing,
            backoff,
        }
    }

    /// Owns the partition whenever it is this process's and it can, until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let partition = self.partition;
        loop {
            let mine = self.share.wait_for(|share| share.has(partition));
            // Nobody says any more what is whose: the process ends.
            if !matches!(shutdown.run_until_cancelled(mine).await, Some(Ok(_))) {
                return;
            }
            let pause = match self.turn(&shutdown).await {
                Ok(Ending::Given) => Duration::ZERO,
                Ok(Ending::Lost) => BACKOFF.0,
                Err(error) => self.stand_still(&error),
            };
            let _ = tokio::time::timeout(pause, shutdown.cancelled()).await;
        }
    }

    /// Says why the partition stands still, and gives how long: longer with every error that follows another.
    fn stand_still(&mut self, error: &Error) -> Duration {
        let (partition, cause) = (self.partition, chain(error));
        if error.is_retryable() {
            tracing::warn!(%partition, cause, "partition stands still");
        } else {
            tracing::error!(%partition, cause, "partition stands still");
        }
        self.shared.metrics.stood_still();
        let longer = (self.backoff * 2).min(BACKOFF.1);
        std::mem::replace(&mut self.backoff, longer)
    }

    /// One ownership, from lease to loss.
    async fn turn(&mut self, shutdown: &CancellationToken) -> Result<Ending, Error> {
        self.profiles.clear();
        self.erased.clear();
        self.gap.clear();
        (self.sweep, self.clearing) = (Sweep::default(), None);
        let Some(standing) = self.acquire().await? else {
            return Ok(Ending::Lost);
        };
        self.shared.ownership.send_modify(|ownership| ownership.owned += 1);
        let token = standing.token;
        let ending = self.own(standing, shutdown).await;
        self.shared.ownership.send_modify(|ownership| ownership.owned -= 1);
        if matches!(ending, Ok(Ending::Given)) {
            self.shared.store.release(self.partition, token).await?;
        }
        ending
    }

    async fn acquire(&mut self) -> Result<Option<Standing>, Error> {
        let now = self.shared.now();
        let ttl = self.shared.config.lease_ttl;
        let Some(token) = self.shared.store.acquire(self.partition, self.shared.nonce, ttl, now).await?
        else {
            return Ok(None);
        };
        self.renewed_at = now;
        let meta = self.shared.store.meta(self.partition).await?;
        tracing::debug!(partition = %self.partition, epoch = %token.epoch, applied_through = %meta.applied_through, "partition taken");
        let ledger = PartitionLedger::decode(&meta.note).map_err(|source| Error::Ledger { source })?;
        self.load_tombstones().await?;
        let (commit_no, applied_through) = (meta.commit_no, meta.applied_through);
        let (clock, feed_end) = (meta.clock, meta.feed_end);
        Ok(Some(Standing { token, commit_no, applied_through, clock, feed_end, ledger }))
    }

    /// Brings all tombstones of the partition into memory.
    async fn load_tombstones(&mut self) -> Result<(), Error> {
        let (mut cursor, most) = (None, self.shared.store.limits().page_items);
        loop {
            let page = self.shared.store.tombstones(self.partition, cursor, most).await?;
            for (pseudonym, bytes) in page.tombstones {
                let tombstone = Tombstone::decode(&bytes).map_err(|source| Error::Tombstone { source })?;
                self.erased.loaded(pseudonym, tombstone);
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn own(&mut self, mut standing: Standing, shutdown: &CancellationToken) -> Result<Ending, Error> {
        loop {
            if shutdown.is_cancelled() || !self.share.borrow().has(self.partition) {
                return Ok(Ending::Given);
            }
            if !self.hold(&standing).await? {
                tracing::warn!(partition = %self.partition, "lease lost");
                return Ok(Ending::Lost);
            }
            let kept = self.trim_if_due(&mut standing).await?
                && self.end_clearing(&mut standing).await?
                && self.sweep_if_due(&mut standing).await?;
            if !kept {
                return Ok(Ending::Lost);
            }
            let (max_records, max_bytes) = (self.shared.config.batch_records, self.shared.config.batch_bytes);
            let read = self.shared.store.read_log(
                self.partition,
                standing.applied_through,
                max_records,
                max_bytes,
                self.sweep.wait(IDLE_WAIT),
            );
            let page = tokio::select! {
                page = read => page?,
                () = shutdown.cancelled() => return Ok(Ending::Given),
                changed = self.share.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Ok(Ending::Given),
                },
            };
            if page.records.is_empty() {
                self.backoff = BACKOFF.0;
            }
            let (begun, is_full) = (Instant::now(), page.records.len() == max_records);
            if !self.apply(&mut standing, readable(page.records)?).await? {
                return Ok(Ending::Lost);
            }
            if begun.elapsed() >= BUSY && !is_full {
                shutdown.run_until_cancelled(tokio::time::sleep(REST)).await;
            }
        }
    }

    /// Commits a page of the log in as many steps as the store's limits ask for. False: the partition is somebody else's.
    async fn apply(&mut self, standing: &mut Standing, mut entries: Vec<Entry>) -> Result<bool, Error> {
        while !entries.is_empty() {
            let started_at = Instant::now();
            self.load(&entries).await?;
            let limits = self.shared.store.limits();
            let count = fitting(&entries, &limits, |key| self.profiles.stored_bytes(key));
            let later = entries.split_off(count);
            let spans = Spans::begin(&self.shared.tracer, self.partition, &mut entries);
            let newest_accepted_at = entries.iter().filter_map(Entry::accepted_at).max();
            let folded = self.fold(standing, entries).await?;
            let erasures = folded.erasures;
            match spans.around(self.commit(standing, folded)).await? {
                Some((counted, profiles)) => {
                    let took = started_at.elapsed();
                    let done = Done { counted, profiles, erasures, newest_accepted_at, took };
                    self.shared.metrics.committed(&done);
                }
                None => return Ok(false),
            }
            entries = later;
        }
        Ok(true)
    }

    /// Commits, and gives what was counted and how many profiles were written. None: the partition is somebody else's.
    async fn commit(
        &mut self,
        standing: &mut Standing,
        folded: Folded,
    ) -> Result<Option<(Counters, usize)>, Error> {
        let Folded { commit, ledger, .. } = folded;
        let done = (commit.counted, commit.profiles.len());
        let (applied_through, clock) = (commit.applied_through, commit.clock);
        match self.shared.store.commit(self.partition, commit).await {
            Ok(committed) => {
                let (token, commit_no, feed_end) = (standing.token, committed.commit_no, committed.feed_end);
                *standing = Standing { token, commit_no, applied_through, clock, feed_end, ledger };
                self.profiles.committed();
                self.erased.committed();
                self.shared.metrics.foretold(self.gap.take());
                self.backoff = BACKOFF.0;
                Ok(Some(done))
            }
            Err(portrait_store::Error::Fenced { .. }) => {
                tracing::warn!(partition = %self.partition, "commit fenced");
                self.shared.metrics.fenced();
                Ok(None)
            }
            // Whether it happened is not known: the next turn begins with what the store then says.
            Err(error) => Err(error.into()),
        }
    }

    /// Brings the profiles that `entries` touch into memory.
    async fn load(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let mut missing = self.profiles.take(entries.iter().filter_map(Entry::user_id).map(ProfileKey::of));
        missing.sort_unstable();
        missing.dedup();
        for keys in missing.chunks(self.shared.store.limits().page_items) {
            let found = self.shared.store.profiles(self.partition, keys).await?;
            for (key, bytes) in keys.iter().zip(found) {
                if let Some(bytes) = bytes {
                    let profile = Profile::decode(&bytes).map_err(|source| unreadable(key, source))?;
                    self.profiles.loaded(key.clone(), profile, bytes.len());
                }
            }
        }
        Ok(())
    }

    async fn fold(&mut self, standing: &Standing, entries: Vec<Entry>) -> Result<Folded, Error> {
        let queries: Vec<SeenQuery> = entries.iter().filter_map(|entry| entry.seen).collect();
        let mut seen_before = Vec::with_capacity(queries.len());
        for page in queries.chunks(self.shared.store.limits().page_items) {
            seen_before.extend(self.shared.store.seen(self.partition, page).await?);
        }
        let mut seen_before = seen_before.into_iter();
        let (now, jump) = (self.shared.now(), self.shared.config.clock_jump);
        self.gap.begin(self.shared.model.borrow().clone(), now);
        let mut fold = Fold::begin(standing, jump, &mut self.profiles, &mut self.erased, &mut self.gap);
        for entry in entries {
            let known = entry.seen.is_some() && seen_before.next().unwrap_or(false);
            fold.entry(entry, known);
        }
        Ok(fold.finish(&self.shared.assigner(), |_| {}, now))
    }

    /// Renews the lease when it is time. False: it is lost, or too old to be trusted.
    async fn hold(&mut self, standing: &Standing) -> Result<bool, Error> {
        let now = self.shared.now();
        let age = now.since(self.renewed_at);
        if age < self.shared.config.lease_renewal {
            return Ok(true);
        }
        if !self.shared.store.renew(self.partition, standing.token, self.shared.config.lease_ttl, now).await?
        {
            return Ok(false);
        }
        self.renewed_at = now;
        Ok(true)
    }

    /// Forgets what is old, when it is time. False: the partition is somebody else's.
    async fn trim_if_due(&mut self, standing: &mut Standing) -> Result<bool, Error> {
        let now = self.shared.now();
        if now.since(self.trimmed_at) < self.shared.config.trim_interval {
            return Ok(true);
        }
        self.trimmed_at = now;
        let what = Trim {
            now,
            log_before: now.minus(self.shared.config.log_retention),
            feed_before: now.minus(self.shared.config.feed_retention),
        };
        let trimmed = self.shared.store.trim(self.partition, what).await?;
        tracing::debug!(partition = %self.partition, ?trimmed, "trimmed");
        self.begin_clearing(standing, now).await
    }
}

impl Shared {
    /// The moment by the process's clock.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }

    /// Assigns by the newest model.
    fn assigner(&self) -> Assigner {
        Assigner::new(self.model.borrow().clone(), self.profile_clock)
    }
}

/// A profile of `key` that cannot be read.
pub(crate) fn unreadable(key: &ProfileKey, source: portrait_profile::DecodeError) -> Error {
    Error::Profile { user_id: String::from_utf8_lossy(&key.0).into_owned(), source }
}

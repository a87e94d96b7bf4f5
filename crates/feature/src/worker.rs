//! The owner of one partition: takes its lease, reads its log from where it is applied, folds and commits, until told to
//! stop; between, it sweeps for a new model. In come the log and the model that is served; out go commits. It trusts nothing
//! it remembers after a commit that did not clearly succeed.

mod clear;
mod owner;
mod sweep;

use crate::batch::{Entry, fitting, readable};
use crate::context::Shared;
use crate::error::Error;
use crate::fold::Standing;
use crate::metrics::Done;
use crate::roster::Share;
use crate::spans::Spans;
use clear::Clear;
use owner::{BACKOFF, Owner};
use portrait_profile::{PartitionId, PartitionLedger, Timestamp};
use portrait_store::Trim;
use std::sync::Arc;
use std::time::Duration;
use sweep::Sweep;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long an idle worker waits for the log before it looks at its lease again.
const IDLE_WAIT: Duration = Duration::from_millis(500);
/// Where a page takes so long to be committed, the machine or the store is busy.
const BUSY: Duration = Duration::from_millis(4);
/// How long a worker rests then: what comes meanwhile is committed together, which takes less of everything, since much of it is of
/// the same shoppers. Whoever is not busy goes on at once.
const REST: Duration = Duration::from_millis(6);

/// The worker of one partition.
pub(crate) struct Worker {
    owner: Owner,
    /// What is this process's to own.
    share: watch::Receiver<Share>,
    renewed_at: Timestamp,
    trimmed_at: Timestamp,
    /// How far it has come in looking at everybody for a new model.
    sweep: Sweep,
    /// How far it has come in clearing what is left of erasures.
    clear: Clear,
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
        let trimmed_at = shared.now();
        Self {
            owner: Owner::new(shared, partition),
            share,
            renewed_at: Timestamp::EPOCH,
            trimmed_at,
            sweep: Sweep::default(),
            clear: Clear::default(),
        }
    }

    /// Owns the partition whenever it is this process's and it can, until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let partition = self.owner.partition;
        loop {
            let mine = self.share.wait_for(|share| share.has(partition));
            // Nobody says any more what is whose: the process ends.
            if !matches!(shutdown.run_until_cancelled(mine).await, Some(Ok(_))) {
                return;
            }
            let pause = match self.turn(&shutdown).await {
                Ok(Ending::Given) => Duration::ZERO,
                Ok(Ending::Lost) => BACKOFF.0,
                Err(error) => self.owner.stand_still(&error),
            };
            let _ = tokio::time::timeout(pause, shutdown.cancelled()).await;
        }
    }

    /// One ownership, from lease to loss.
    async fn turn(&mut self, shutdown: &CancellationToken) -> Result<Ending, Error> {
        self.owner.clear();
        (self.sweep, self.clear) = (Sweep::default(), Clear::default());
        let Some(standing) = self.acquire().await? else {
            return Ok(Ending::Lost);
        };
        self.owner.shared.ownership.send_modify(|ownership| ownership.owned += 1);
        let token = standing.token;
        let ending = self.own(standing, shutdown).await;
        self.owner.shared.ownership.send_modify(|ownership| ownership.owned -= 1);
        if matches!(ending, Ok(Ending::Given)) {
            self.owner.shared.store.release(self.owner.partition, token).await?;
        }
        ending
    }

    async fn acquire(&mut self) -> Result<Option<Standing>, Error> {
        let now = self.owner.shared.now();
        let ttl = self.owner.shared.config.lease_ttl;
        let Some(token) =
            self.owner.shared.store.acquire(self.owner.partition, self.owner.shared.nonce, ttl, now).await?
        else {
            return Ok(None);
        };
        self.renewed_at = now;
        let meta = self.owner.shared.store.meta(self.owner.partition).await?;
        tracing::debug!(partition = %self.owner.partition, epoch = %token.epoch, applied_through = %meta.applied_through, "partition taken");
        let ledger = PartitionLedger::decode(&meta.note).map_err(|source| Error::Ledger { source })?;
        self.owner.load_tombstones().await?;
        let (commit_no, applied_through) = (meta.commit_no, meta.applied_through);
        let (clock, feed_end) = (meta.clock, meta.feed_end);
        Ok(Some(Standing { token, commit_no, applied_through, clock, feed_end, ledger }))
    }

    async fn own(&mut self, mut standing: Standing, shutdown: &CancellationToken) -> Result<Ending, Error> {
        loop {
            if shutdown.is_cancelled() || !self.share.borrow().has(self.owner.partition) {
                return Ok(Ending::Given);
            }
            if !self.hold(&standing).await? {
                tracing::warn!(partition = %self.owner.partition, "lease lost");
                return Ok(Ending::Lost);
            }
            let kept = self.trim_if_due(&mut standing).await?
                && self.clear.end(&mut self.owner, &mut standing).await?
                && self.sweep.advance(&mut self.owner, &mut standing).await?;
            if !kept {
                return Ok(Ending::Lost);
            }
            let (max_records, max_bytes) =
                (self.owner.shared.config.batch_records, self.owner.shared.config.batch_bytes);
            let read = self.owner.shared.store.read_log(
                self.owner.partition,
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
                self.owner.backoff = BACKOFF.0;
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
            self.owner.load(&entries).await?;
            let limits = self.owner.shared.store.limits();
            let count = fitting(&entries, &limits, |key| self.owner.profiles.stored_bytes(key));
            let later = entries.split_off(count);
            let spans = Spans::begin(&self.owner.shared.tracer, self.owner.partition, &mut entries);
            let newest_accepted_at = entries.iter().filter_map(Entry::accepted_at).max();
            let folded = self.owner.fold(standing, entries).await?;
            let erasures = folded.erasures;
            match spans.around(self.owner.commit(standing, folded)).await? {
                Some((counted, profiles)) => {
                    let took = started_at.elapsed();
                    let done = Done { counted, profiles, erasures, newest_accepted_at, took };
                    self.owner.shared.metrics.committed(&done);
                }
                None => return Ok(false),
            }
            entries = later;
        }
        Ok(true)
    }

    /// Renews the lease when it is time. False: it is lost, or too old to be trusted.
    async fn hold(&mut self, standing: &Standing) -> Result<bool, Error> {
        let now = self.owner.shared.now();
        let age = now.since(self.renewed_at);
        if age < self.owner.shared.config.lease_renewal {
            return Ok(true);
        }
        if !self
            .owner
            .shared
            .store
            .renew(self.owner.partition, standing.token, self.owner.shared.config.lease_ttl, now)
            .await?
        {
            return Ok(false);
        }
        self.renewed_at = now;
        Ok(true)
    }

    /// Forgets what is old, when it is time. False: the partition is somebody else's.
    async fn trim_if_due(&mut self, standing: &mut Standing) -> Result<bool, Error> {
        let now = self.owner.shared.now();
        if now.since(self.trimmed_at) < self.owner.shared.config.trim_interval {
            return Ok(true);
        }
        self.trimmed_at = now;
        let what = Trim {
            now,
            log_before: now.minus(self.owner.shared.config.log_retention),
            feed_before: now.minus(self.owner.shared.config.feed_retention),
        };
        let trimmed = self.owner.shared.store.trim(self.owner.partition, what).await?;
        tracing::debug!(partition = %self.owner.partition, ?trimmed, "trimmed");
        self.clear.begin(&mut self.owner, standing, now).await
    }
}

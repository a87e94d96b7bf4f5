//! Memory and commits of a partition owner: profile cache, tombstones and shadow evaluator. The worker decides when; the owner
//! loads, folds and commits. Its memory equals the last successful commit, or is empty.

use crate::batch::LogEntry;
use crate::cache::ProfileCache;
use crate::context::FeatureContext;
use crate::error::Error;
use crate::fold::{BatchFold, FoldResult, OwnedPosition};
use crate::metrics::CommitCounts;
use crate::shadow::ShadowEvaluator;
use crate::tombstones::TombstoneIndex;
use portrait_profile::{PartitionId, PartitionLedger, Profile, Tombstone};
use portrait_proto::status::with_causes;
use portrait_store::{ProfileKey, SeenQuery};
use std::sync::Arc;
use std::time::Duration;

/// First pause after an error. It doubles with each error in a row.
pub(super) const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest pause after an error: the time until a recovered store is noticed.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Owner of one partition.
pub(super) struct PartitionOwner {
    pub(super) shared: Arc<FeatureContext>,
    pub(super) partition: PartitionId,
    pub(super) profiles: ProfileCache,
    pub(super) tombstones: TombstoneIndex,
    pub(super) shadow: ShadowEvaluator,
    /// Pause after the next error; reset by every commit, and when no record is left to apply.
    pub(super) backoff: Duration,
}

impl PartitionOwner {
    /// Creates an owner with an empty memory.
    pub(super) fn new(shared: Arc<FeatureContext>, partition: PartitionId) -> Self {
        let partitions = shared.store.layout().partitions;
        let profiles = ProfileCache::new(shared.config.cache_bytes_of_partition(partitions));
        let shadow = shared.config.shadow_evaluator(partitions);
        let tombstones = TombstoneIndex::new(shared.store.layout().pseudonym_key);
        Self { shared, partition, profiles, tombstones, shadow, backoff: BACKOFF_MIN }
    }

    /// Empties the memory: another owner may have changed the partition.
    pub(super) fn clear(&mut self) {
        self.profiles.clear();
        self.tombstones.clear();
        self.shadow.clear();
    }

    /// Logs an error that stalls the partition and returns the pause before the next attempt.
    pub(super) fn back_off(&mut self, error: &Error) -> Duration {
        let partition = self.partition;
        let error_text = with_causes(error);
        // ERROR only if an operator must act: a store that is away comes back by itself.
        if error.is_retryable() {
            tracing::warn!(%partition, error = error_text, "partition stalled");
        } else {
            tracing::error!(%partition, error = error_text, "partition stalled");
        }
        self.shared.metrics.partition_error();
        let next = (self.backoff * 2).min(BACKOFF_MAX);
        std::mem::replace(&mut self.backoff, next)
    }

    /// Loads all tombstones of the partition. Without all of them a record of an erased user could be applied.
    pub(super) async fn load_tombstones(&mut self) -> Result<(), Error> {
        let page_max = self.shared.store.limits().page_items;
        let mut cursor = None;
        loop {
            let page = self.shared.store.scan_tombstones(self.partition, cursor, page_max).await?;
            for (pseudonym, bytes) in page.tombstones {
                let tombstone = Tombstone::decode(&bytes).map_err(|source| Error::Tombstone { source })?;
                self.tombstones.loaded(pseudonym, tombstone);
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Commits a fold. `None`: another worker owns the partition, and nothing was written.
    pub(super) async fn commit(
        &mut self,
        position: &mut OwnedPosition,
        result: FoldResult,
    ) -> Result<Option<CommitCounts>, Error> {
        let FoldResult { commit, ledger, .. } = result;
        let counts = CommitCounts { records: commit.counted, profiles: commit.profiles.len() };
        let applied_through = commit.applied_through;
        let clock = commit.clock;
        match self.shared.store.commit(self.partition, commit).await {
            Ok(committed) => {
                *position = OwnedPosition {
                    token: position.token,
                    commit_no: committed.commit_no,
                    applied_through,
                    clock,
                    feed_end: committed.feed_end,
                    ledger,
                };
                self.profiles.committed();
                self.tombstones.committed();
                // Only now: predictions of a commit that is repeated must not count twice.
                self.shared.metrics.shadow_predictions(self.shadow.take_counts());
                self.backoff = BACKOFF_MIN;
                Ok(Some(counts))
            }
            Err(portrait_store::Error::Fenced { .. }) => {
                tracing::warn!(partition = %self.partition, "commit fenced");
                self.shared.metrics.fenced();
                Ok(None)
            }
            // Unknown result: the commit may have happened. The ownership ends, and the next one reads the stored state.
            Err(error) => Err(error.into()),
        }
    }

    /// Loads the profiles that `entries` change, unless they are cached.
    pub(super) async fn load(&mut self, entries: &[LogEntry]) -> Result<(), Error> {
        let mut missing =
            self.profiles.take_hot(entries.iter().filter_map(LogEntry::user_id).map(ProfileKey::of));
        missing.sort_unstable();
        missing.dedup();
        for keys in missing.chunks(self.shared.store.limits().page_items) {
            let stored = self.shared.store.profiles(self.partition, keys).await?;
            for (key, bytes) in keys.iter().zip(stored) {
                if let Some(bytes) = bytes {
                    let profile =
                        Profile::decode(&bytes).map_err(|source| Error::cannot_read(key, source))?;
                    self.profiles.loaded(key.clone(), profile, bytes.len());
                }
            }
        }
        Ok(())
    }

    /// Folds entries into a commit. Their profiles must be loaded.
    pub(super) async fn fold(
        &mut self,
        position: &OwnedPosition,
        entries: Vec<LogEntry>,
    ) -> Result<FoldResult, Error> {
        let queries: Vec<SeenQuery> = entries.iter().filter_map(|entry| entry.seen).collect();
        let mut seen_before = Vec::with_capacity(queries.len());
        for page in queries.chunks(self.shared.store.limits().page_items) {
            seen_before.extend(self.shared.store.seen(self.partition, page).await?);
        }
        let mut seen_before = seen_before.into_iter();
        let assigner = self.shared.assigner();
        let now = self.shared.now();
        self.shadow.begin_batch(self.shared.model.borrow().clone(), now);
        let mut fold = self.begin(position);
        for entry in entries {
            // Only entries with an id were looked up, in this order.
            let is_seen = entry.seen.is_some() && seen_before.next().unwrap_or(false);
            fold.entry(entry, is_seen);
        }
        Ok(fold.finish(&assigner, |_| {}, now))
    }

    /// Begins an empty commit at the owned position.
    pub(super) fn begin<'a>(&'a mut self, position: &'a OwnedPosition) -> BatchFold<'a> {
        let clock_jump_max = self.shared.config.clock_jump_max;
        BatchFold::begin(position, clock_jump_max, &mut self.profiles, &mut self.tombstones, &mut self.shadow)
    }

    /// Commits a change of the ledger together with pending tombstones. False: another worker owns the partition.
    pub(super) async fn write_note(
        &mut self,
        position: &mut OwnedPosition,
        note: impl FnOnce(&mut PartitionLedger),
    ) -> Result<bool, Error> {
        let assigner = self.shared.assigner();
        let now = self.shared.now();
        let result = self.begin(position).finish(&assigner, note, now);
        Ok(self.commit(position, result).await?.is_some())
    }
}

//! The memory and the commits of one partition's owner: profiles, tombstones and the gap that is measured. In come entries of
//! the log, out go commits; whoever runs the owner says when. What it remembers is the store's last commit, or is emptied.

use crate::batch::Entry;
use crate::cache::Profiles;
use crate::context::Shared;
use crate::erased::Erased;
use crate::error::Error;
use crate::fold::{Fold, Folded, Standing};
use crate::gap::Gap;
use portrait_profile::{PartitionId, PartitionLedger, Profile, Tombstone};
use portrait_proto::status::with_causes;
use portrait_store::{Counters, ProfileKey, SeenQuery};
use std::sync::Arc;
use std::time::Duration;

/// How long a worker waits after an error, at first and at most.
pub(super) const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The owner of one partition.
pub(super) struct Owner {
    pub(super) shared: Arc<Shared>,
    pub(super) partition: PartitionId,
    pub(super) profiles: Profiles,
    pub(super) erased: Erased,
    pub(super) gap: Gap,
    /// How long it waits after the next error; set back by every commit, and when nothing is left to apply.
    pub(super) backoff: Duration,
}

impl Owner {
    /// An owner that remembers nothing yet.
    pub(super) fn new(shared: Arc<Shared>, partition: PartitionId) -> Self {
        let partitions = shared.store.layout().partitions;
        let profiles = Profiles::new(shared.config.cache_bytes_of_partition(partitions));
        let gap = shared.config.gap_of_partition(partitions);
        let erased = Erased::new(shared.store.layout().pseudonym_key);
        Self { shared, partition, profiles, erased, gap, backoff: BACKOFF.0 }
    }

    /// Forgets everything: the partition may have changed elsewhere.
    pub(super) fn clear(&mut self) {
        self.profiles.clear();
        self.erased.clear();
        self.gap.clear();
    }

    /// Says why the partition stands still, and gives how long: longer with every error that follows another.
    pub(super) fn stand_still(&mut self, error: &Error) -> Duration {
        let (partition, cause) = (self.partition, with_causes(error));
        if error.is_retryable() {
            tracing::warn!(%partition, cause, "partition stands still");
        } else {
            tracing::error!(%partition, cause, "partition stands still");
        }
        self.shared.metrics.stood_still();
        let longer = (self.backoff * 2).min(BACKOFF.1);
        std::mem::replace(&mut self.backoff, longer)
    }

    /// Brings all tombstones of the partition into memory.
    pub(super) async fn load_tombstones(&mut self) -> Result<(), Error> {
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

    /// Commits, and gives what was counted and how many profiles were written. None: the partition is somebody else's.
    pub(super) async fn commit(
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
    pub(super) async fn load(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let mut missing = self.profiles.take(entries.iter().filter_map(Entry::user_id).map(ProfileKey::of));
        missing.sort_unstable();
        missing.dedup();
        for keys in missing.chunks(self.shared.store.limits().page_items) {
            let found = self.shared.store.profiles(self.partition, keys).await?;
            for (key, bytes) in keys.iter().zip(found) {
                if let Some(bytes) = bytes {
                    let profile = Profile::decode(&bytes).map_err(|source| Error::unreadable(key, source))?;
                    self.profiles.loaded(key.clone(), profile, bytes.len());
                }
            }
        }
        Ok(())
    }

    pub(super) async fn fold(&mut self, standing: &Standing, entries: Vec<Entry>) -> Result<Folded, Error> {
        let queries: Vec<SeenQuery> = entries.iter().filter_map(|entry| entry.seen).collect();
        let mut seen_before = Vec::with_capacity(queries.len());
        for page in queries.chunks(self.shared.store.limits().page_items) {
            seen_before.extend(self.shared.store.seen(self.partition, page).await?);
        }
        let mut seen_before = seen_before.into_iter();
        let (assigner, now) = (self.shared.assigner(), self.shared.now());
        self.gap.begin(self.shared.model.borrow().clone(), now);
        let mut fold = self.begin(standing);
        for entry in entries {
            let known = entry.seen.is_some() && seen_before.next().unwrap_or(false);
            fold.entry(entry, known);
        }
        Ok(fold.finish(&assigner, |_| {}, now))
    }

    /// Begins a commit with nothing in it.
    pub(super) fn begin<'a>(&'a mut self, standing: &'a Standing) -> Fold<'a> {
        let jump = self.shared.config.clock_jump;
        Fold::begin(standing, jump, &mut self.profiles, &mut self.erased, &mut self.gap)
    }

    /// Commits a note, and the tombstones that change with it. False: the partition is somebody else's.
    pub(super) async fn note(
        &mut self,
        standing: &mut Standing,
        note: impl FnOnce(&mut PartitionLedger),
    ) -> Result<bool, Error> {
        let (assigner, now) = (self.shared.assigner(), self.shared.now());
        let folded = self.begin(standing).finish(&assigner, note, now);
        Ok(self.commit(standing, folded).await?.is_some())
    }
}

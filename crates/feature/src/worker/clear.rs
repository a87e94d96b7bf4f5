//! The last of erasures. In come what is trimmed and the tombstones, out go the note that nothing is left of erasures up to a
//! place, once the store has written its files anew, and the end of tombstones that nothing can come back from any more. The
//! files are written in the background; the log has its turns meanwhile.

use super::Worker;
use crate::error::Error;
use crate::fold::{Fold, Standing};
use portrait_profile::{LogPlace, PartitionLedger, Pseudonym, Timestamp};
use portrait_store::Result as Stored;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::JoinHandle;

/// Tombstones that one commit lets expire at most.
const EXPIRING_MAX: usize = 200;

/// Files that are being written anew.
pub(super) struct Clearing {
    /// Nothing is left of erasures up to there when they are.
    through: LogPlace,
    writing: JoinHandle<Stored<()>>,
}

impl Drop for Clearing {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

impl Worker {
    /// After a trim: lets tombstones expire, and begins to clear what can be cleared. False: the partition is somebody else's.
    pub(super) async fn begin_clearing(
        &mut self,
        standing: &mut Standing,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if !self.expire(standing, now).await? {
            return Ok(false);
        }
        let erasures = standing.ledger.erasures();
        if self.clearing.is_some() || erasures.newest() <= erasures.cleared() {
            return Ok(true);
        }
        let meta = self.shared.store.meta(self.partition).await?;
        let mut through = LogPlace(meta.log_first.get().saturating_sub(1));
        for (_, tombstone) in self.erased.iter() {
            // Changes that may name the shopper are still in the feed.
            if tombstone.told_through.0 >= meta.feed_first.get() {
                through = through.min(LogPlace(tombstone.placed_at.0.saturating_sub(1)));
            }
        }
        let newest_is_trimmed = erasures.newest() <= through;
        let any = newest_is_trimmed || self.erased.any_placed(erasures.cleared(), through);
        if any && through > erasures.cleared() && self.may_rewrite(now) {
            let store = Arc::clone(&self.shared.store);
            let writing = tokio::spawn(async move { store.rewrite_files().await });
            self.clearing = Some(Clearing { through, writing });
        }
        Ok(true)
    }

    /// Notes what was cleared, if the files are written. False: the partition is somebody else's.
    pub(super) async fn end_clearing(&mut self, standing: &mut Standing) -> Result<bool, Error> {
        let Some(mut clearing) = self.clearing.take_if(|clearing| clearing.writing.is_finished()) else {
            return Ok(true);
        };
        match (&mut clearing.writing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                // It is tried again after the next interval.
                let cause = crate::batch::chain(&error);
                tracing::warn!(partition = %self.partition, cause, "the store's files could not be written anew");
                return Ok(true);
            }
            Err(_) => return Ok(true),
        }
        let through = clearing.through;
        let done = self.note(standing, |ledger| ledger.erasures_mut().cleared_through(through)).await?;
        self.shared.metrics.erasures("cleared", u64::from(done));
        Ok(done)
    }

    /// Lets tombstones go that have outlived the log. False: the partition is somebody else's.
    async fn expire(&mut self, standing: &mut Standing, now: Timestamp) -> Result<bool, Error> {
        let born_before = now.minus(self.shared.config.tombstone_life());
        let erasures = standing.ledger.erasures();
        let old = self.erased.iter().filter(|(_, tombstone)| {
            tombstone.accepted_at < born_before && erasures.is_swept(tombstone.placed_at)
        });
        let old: Vec<_> = old.map(|(pseudonym, tombstone)| (pseudonym, tombstone.version)).collect();
        for page in old.chunks(EXPIRING_MAX) {
            page.iter().for_each(|(pseudonym, _): &(Pseudonym, _)| self.erased.expire(*pseudonym));
            let note = |ledger: &mut PartitionLedger| {
                page.iter().for_each(|(_, version)| ledger.erasures_mut().expired(*version));
            };
            if !self.note(standing, note).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Commits a note, and the tombstones that change with it. False: the partition is somebody else's.
    async fn note(
        &mut self,
        standing: &mut Standing,
        note: impl FnOnce(&mut PartitionLedger),
    ) -> Result<bool, Error> {
        let jump = self.shared.config.clock_jump;
        let fold = Fold::begin(standing, jump, &mut self.profiles, &mut self.erased);
        let folded = fold.finish(&self.shared.assigner(), note, self.shared.now());
        Ok(self.commit(standing, folded).await?.is_some())
    }

    /// Whether files may be written anew now. Partitions whose turn comes soon after one's share its time.
    fn may_rewrite(&self, now: Timestamp) -> bool {
        let config = &self.shared.config;
        let last = Timestamp::from_millis(self.shared.rewritten_at_ms.load(Ordering::SeqCst));
        let age = now.since(last);
        if age >= config.rewrite_interval {
            self.shared.rewritten_at_ms.store(now.millis(), Ordering::SeqCst);
        }
        age >= config.rewrite_interval || age <= config.trim_interval
    }
}

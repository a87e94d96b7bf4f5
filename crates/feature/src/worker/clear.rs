//! The last of erasures. In come what is trimmed, which models are kept, and the tombstones; out go the note that nothing is left of
//! erasures up to a place, once the store has written its files anew, and the end of tombstones that nothing can come back from
//! any more. The files are written in the background; the log has its turns meanwhile.

use super::Worker;
use crate::error::Error;
use crate::fold::{Fold, Standing};
use portrait_learning::prediction::LOOKALIKES;
use portrait_profile::{LogPlace, PartitionLedger, Pseudonym, Span, Timestamp};
use portrait_proto::v1::ModelManifest;
use portrait_store::{PublishedModel, Result as Stored};
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A model that is published so long after an erasure knew nothing of the shopper when its training began.
const TRAINED_WITHIN: Span = Span::from_hours(1);
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
        let through = self.forgotten_through().await?;
        let newest_is_trimmed = erasures.newest() <= through;
        let any = newest_is_trimmed || self.erased.any_placed(erasures.cleared(), through);
        if any && through > erasures.cleared() && self.may_rewrite(now) {
            let store = Arc::clone(&self.shared.store);
            let writing = tokio::spawn(async move { store.rewrite_files().await });
            self.clearing = Some(Clearing { through, writing });
        }
        Ok(true)
    }

    /// Up to where in the log nothing that the store still has names anybody who was erased.
    async fn forgotten_through(&mut self) -> Result<LogPlace, Error> {
        let store = &self.shared.store;
        let meta = store.meta(self.partition).await?;
        let registry = store.registry(None, Duration::ZERO).await?;
        let naming = registry.models.iter().filter(|model| names_shoppers(model));
        let oldest_model_at = naming.map(|model| model.at).min();
        let mut through = LogPlace(meta.log_first.get().saturating_sub(1));
        for (_, tombstone) in self.erased.iter() {
            let is_told_of = tombstone.told_through.0 >= meta.feed_first.get();
            let strangers_at = tombstone.accepted_at.plus(TRAINED_WITHIN);
            if is_told_of || oldest_model_at.is_some_and(|at| at < strangers_at) {
                through = through.min(LogPlace(tombstone.left_from.0.saturating_sub(1)));
            }
        }
        Ok(through)
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
            let is_done = erasures.is_swept(tombstone.placed_at) && erasures.is_cleared(tombstone.placed_at);
            tombstone.accepted_at < born_before && is_done
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
        let fold = Fold::begin(standing, jump, &mut self.profiles, &mut self.erased, &mut self.gap);
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

/// Whether shoppers are named in a model; of one that cannot be read nobody knows.
fn names_shoppers(model: &PublishedModel) -> bool {
    let manifest = ModelManifest::decode(&model.manifest[..]);
    manifest.map_or(true, |manifest| manifest.parts.iter().any(|part| part.kind == LOOKALIKES))
}

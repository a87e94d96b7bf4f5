//! The last of erasures. In come what is trimmed, which models are kept, and the tombstones; out go the note that nothing is left of
//! erasures up to a place, once the store has written its files anew, and the end of tombstones that nothing can come back from
//! any more. The files are written in the background; the log has its turns meanwhile.

use super::owner::Owner;
use crate::context::Shared;
use crate::error::Error;
use crate::fold::Standing;
use portrait_learning::prediction::LOOKALIKES;
use portrait_profile::{LogPlace, PartitionLedger, Pseudonym, Span, Timestamp};
use portrait_proto::manifest;
use portrait_proto::status::with_causes;
use portrait_store::{PublishedModel, Result as Stored};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A model that is published so long after an erasure knew nothing of the shopper when its training began.
const TRAINED_WITHIN: Span = Span::from_hours(1);
/// Tombstones that one commit lets expire at most.
const EXPIRING_MAX: usize = 200;

/// How far a worker has come: files of the store that are being written anew for erasures, if any are.
#[derive(Default)]
pub(super) struct Clear {
    under_way: Option<Clearing>,
}

/// Files that are being written anew.
struct Clearing {
    /// Nothing is left of erasures up to there when they are.
    through: LogPlace,
    writing: JoinHandle<Stored<()>>,
}

impl Drop for Clearing {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

impl Clear {
    /// After a trim: lets tombstones expire, and begins to clear what can be cleared. False: the partition is somebody else's.
    pub(super) async fn begin(
        &mut self,
        owner: &mut Owner,
        standing: &mut Standing,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if !expire(owner, standing, now).await? {
            return Ok(false);
        }
        let erasures = standing.ledger.erasures();
        if self.under_way.is_some() || erasures.newest() <= erasures.cleared() {
            return Ok(true);
        }
        let through = forgotten_through(owner).await?;
        let newest_is_trimmed = erasures.newest() <= through;
        let any = newest_is_trimmed || owner.erased.any_placed(erasures.cleared(), through);
        if any && through > erasures.cleared() && may_rewrite(&owner.shared, now) {
            let store = Arc::clone(&owner.shared.store);
            #[expect(clippy::disallowed_methods, reason = "the worker holds the handle and awaits it")]
            let writing = tokio::spawn(async move { store.rewrite_files().await });
            self.under_way = Some(Clearing { through, writing });
        }
        Ok(true)
    }

    /// Notes what was cleared, if the files are written. False: the partition is somebody else's.
    pub(super) async fn end(&mut self, owner: &mut Owner, standing: &mut Standing) -> Result<bool, Error> {
        let Some(mut clearing) = self.under_way.take_if(|clearing| clearing.writing.is_finished()) else {
            return Ok(true);
        };
        match (&mut clearing.writing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                // It is tried again after the next interval.
                let cause = with_causes(&error);
                tracing::warn!(partition = %owner.partition, cause, "the store's files could not be written anew");
                return Ok(true);
            }
            Err(_) => return Ok(true),
        }
        let through = clearing.through;
        let done = owner.note(standing, |ledger| ledger.erasures_mut().cleared_through(through)).await?;
        owner.shared.metrics.erasures("cleared", u64::from(done));
        Ok(done)
    }
}

/// Up to where in the log nothing that the store still has names anybody who was erased.
async fn forgotten_through(owner: &mut Owner) -> Result<LogPlace, Error> {
    let store = &owner.shared.store;
    let meta = store.meta(owner.partition).await?;
    let registry = store.registry(None, Duration::ZERO).await?;
    let naming = registry.models.iter().filter(|model| names_shoppers(model));
    let oldest_model_at = naming.map(|model| model.at).min();
    let mut through = LogPlace(meta.log_first.get().saturating_sub(1));
    for (_, tombstone) in owner.erased.iter() {
        let is_told_of = tombstone.told_through.0 >= meta.feed_first.get();
        let strangers_at = tombstone.accepted_at.plus(TRAINED_WITHIN);
        if is_told_of || oldest_model_at.is_some_and(|at| at < strangers_at) {
            through = through.min(LogPlace(tombstone.left_from.0.saturating_sub(1)));
        }
    }
    Ok(through)
}

/// Lets tombstones go that have outlived the log. False: the partition is somebody else's.
async fn expire(owner: &mut Owner, standing: &mut Standing, now: Timestamp) -> Result<bool, Error> {
    let born_before = now.minus(owner.shared.config.tombstone_life());
    let erasures = standing.ledger.erasures();
    let old = owner.erased.iter().filter(|(_, tombstone)| {
        let is_done = erasures.is_swept(tombstone.placed_at) && erasures.is_cleared(tombstone.placed_at);
        tombstone.accepted_at < born_before && is_done
    });
    let old: Vec<_> = old.map(|(pseudonym, tombstone)| (pseudonym, tombstone.version)).collect();
    for page in old.chunks(EXPIRING_MAX) {
        page.iter().for_each(|(pseudonym, _): &(Pseudonym, _)| owner.erased.expire(*pseudonym));
        let note = |ledger: &mut PartitionLedger| {
            page.iter().for_each(|(_, version)| ledger.erasures_mut().expired(*version));
        };
        if !owner.note(standing, note).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether files may be written anew now. Partitions whose turn comes soon after one's share its time.
fn may_rewrite(shared: &Shared, now: Timestamp) -> bool {
    let config = &shared.config;
    let last = Timestamp::from_millis(shared.rewritten_at_ms.load(Ordering::SeqCst));
    let age = now.since(last);
    if age >= config.rewrite_interval {
        shared.rewritten_at_ms.store(now.millis(), Ordering::SeqCst);
    }
    age >= config.rewrite_interval || age <= config.trim_interval
}

/// Whether shoppers are named in a model; of one that cannot be read nobody knows.
fn names_shoppers(model: &PublishedModel) -> bool {
    manifest::decode(&model.manifest)
        .map_or(true, |manifest| manifest.parts.iter().any(|part| part.kind == LOOKALIKES))
}

//! Last steps of an erasure. Once log, feed, dead letters and models hold nothing of it, the store rewrites its files, and the
//! ledger notes the position up to which erasures are cleared. Tombstones without any remaining use expire.
//!
//! A rewrite is needed because deleted keys stay in the files of a store until a compaction. It runs in the background, and
//! the worker continues with the log.

use super::owner::PartitionOwner;
use crate::context::FeatureContext;
use crate::error::Error;
use crate::fold::OwnedPosition;
use portrait_learning::prediction::LOOKALIKES;
use portrait_profile::{LogSeq, Pseudonym, TimeDelta, Timestamp};
use portrait_proto::manifest;
use portrait_proto::status::with_causes;
use portrait_store::{PublishedModel, Result as Stored};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Longest duration of a training. A model published later than this after an erasure was sampled without the user.
const TRAINING_DURATION_MAX: TimeDelta = TimeDelta::from_hours(1);
/// Tombstones that one commit expires at most, to stay within the limits of a commit.
const EXPIRING_MAX: usize = 200;

/// Running rewrite of the store's files, if any.
#[derive(Default)]
pub(super) struct ErasureCleanup {
    running: Option<FileRewrite>,
}

/// Rewrite of files in the background; dropped with the ownership.
struct FileRewrite {
    /// Position up to which erasures are cleared by this rewrite.
    through: LogSeq,
    task: JoinHandle<Stored<()>>,
}

impl Drop for FileRewrite {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ErasureCleanup {
    /// Expires tombstones and starts a rewrite if one can clear something; called after a trim. False: another worker owns the
    /// partition.
    pub(super) async fn begin(
        &mut self,
        owner: &mut PartitionOwner,
        position: &mut OwnedPosition,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if !expire(owner, position, now).await? {
            return Ok(false);
        }
        let erasures = position.ledger.erasures();
        if self.running.is_some() || erasures.newest() <= erasures.cleared() {
            return Ok(true);
        }
        let through = erasable_through(owner).await?;
        // The newest erasure may have no tombstone of its own any more, so its position is compared apart.
        let newest_is_erasable = erasures.newest() <= through;
        let clears_any = newest_is_erasable || owner.tombstones.any_between(erasures.cleared(), through);
        if clears_any && through > erasures.cleared() && may_rewrite(&owner.shared, now) {
            let store = Arc::clone(&owner.shared.store);
            #[expect(clippy::disallowed_methods, reason = "the worker holds the handle and awaits it")]
            let task = tokio::spawn(async move { store.rewrite_files().await });
            self.running = Some(FileRewrite { through, task });
        }
        Ok(true)
    }

    /// Notes cleared erasures in the ledger if the rewrite has finished. False: another worker owns the partition.
    pub(super) async fn end(
        &mut self,
        owner: &mut PartitionOwner,
        position: &mut OwnedPosition,
    ) -> Result<bool, Error> {
        let Some(mut rewrite) = self.running.take_if(|rewrite| rewrite.task.is_finished()) else {
            return Ok(true);
        };
        match (&mut rewrite.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                // The next trim starts another rewrite, at the earliest after `feature.rewrite_interval`.
                let error = with_causes(&error);
                tracing::warn!(partition = %owner.partition, error, "store files could not be rewritten");
                return Ok(true);
            }
            Err(_) => return Ok(true),
        }
        let through = rewrite.through;
        let is_noted =
            owner.write_note(position, |ledger| ledger.erasures_mut().cleared_through(through)).await?;
        owner.shared.metrics.erasures("cleared", u64::from(is_noted));
        Ok(is_noted)
    }
}

/// Returns the position up to which no stored data refers to an erased user: neither log, feed, nor a model.
async fn erasable_through(owner: &mut PartitionOwner) -> Result<LogSeq, Error> {
    let store = &owner.shared.store;
    let meta = store.meta(owner.partition).await?;
    let registry = store.registry(None, Duration::ZERO).await?;
    let oldest_model_at =
        registry.models.iter().filter(|model| names_users(model)).map(|model| model.at).min();
    // Log: every record before `log_first` is trimmed.
    let mut through = meta.log_first.previous();
    for (_, tombstone) in owner.tombstones.iter() {
        // Feed: the deletion and earlier changes name the user until they are trimmed.
        let is_in_feed = tombstone.feed_seq_max >= meta.feed_first;
        // Models: one published later than this was sampled after the erasure.
        let clean_if_published_after = tombstone.accepted_at.plus(TRAINING_DURATION_MAX);
        if is_in_feed || oldest_model_at.is_some_and(|at| at < clean_if_published_after) {
            through = through.min(tombstone.log_seq_min.previous());
        }
    }
    Ok(through)
}

/// Expires tombstones whose erasure is complete and that are older than the
/// retention of log and feed plus `feature.tombstone_margin`. False: another worker owns the partition.
async fn expire(
    owner: &mut PartitionOwner,
    position: &mut OwnedPosition,
    now: Timestamp,
) -> Result<bool, Error> {
    let accepted_before = now.minus(owner.shared.config.tombstone_ttl());
    let erasures = position.ledger.erasures();
    // Age alone is not enough: a late record may still come within the retention, and an erasure that is not swept and
    // cleared needs its tombstone to find what is left.
    let expired = owner.tombstones.iter().filter(|(_, tombstone)| {
        let is_done = erasures.is_swept(tombstone.log_seq) && erasures.is_cleared(tombstone.log_seq);
        tombstone.accepted_at < accepted_before && is_done
    });
    let expired: Vec<_> = expired.map(|(pseudonym, tombstone)| (pseudonym, tombstone.version)).collect();
    for page in expired.chunks(EXPIRING_MAX) {
        page.iter().for_each(|(pseudonym, _): &(Pseudonym, _)| owner.tombstones.expire(*pseudonym));
        // The highest expired version remains as a floor: a version of a user must never repeat.
        let is_noted = owner.write_note(position, |ledger| {
            page.iter().for_each(|(_, version)| ledger.erasures_mut().expired(*version));
        });
        if !is_noted.await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns true if a rewrite may start. The rewrite covers the whole store, so partitions that ask within one trim interval
/// share it: the limit counts rewrites of the process, not of a partition.
fn may_rewrite(shared: &FeatureContext, now: Timestamp) -> bool {
    let config = &shared.config;
    let last_rewrite_at = Timestamp::from_millis(shared.rewritten_at_ms.load(Ordering::SeqCst));
    let age = now.since(last_rewrite_at);
    if age >= config.rewrite_interval {
        shared.rewritten_at_ms.store(now.millis(), Ordering::SeqCst);
    }
    age >= config.rewrite_interval || age <= config.trim_interval
}

/// Returns true if a model names users. A model that cannot be decoded counts as naming some.
fn names_users(model: &PublishedModel) -> bool {
    manifest::decode(&model.manifest)
        .map_or(true, |manifest| manifest.parts.iter().any(|part| part.kind == LOOKALIKES))
}

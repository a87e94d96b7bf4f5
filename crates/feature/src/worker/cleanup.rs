//! Last steps of an erasure. Once log, feed, dead letters and models hold nothing of it, the store rewrites its files, and the
//! ledger notes the position up to which erasures are cleared. Tombstones without any remaining use expire (`expiry.rs`).
//!
//! A rewrite is needed because deleted keys stay in the files of a store until a compaction. It runs in the background, and
//! the worker continues with the log.

use super::expiry::{ExpirySearch, is_done};
use super::owner::PartitionOwner;
use crate::context::FeatureContext;
use crate::error::Error;
use crate::fold::OwnedPosition;
use portrait_learning::prediction::LOOKALIKES;
use portrait_profile::{LogSeq, PartitionId, Timestamp};
use portrait_proto::manifest::{self, DamagedManifest};
use portrait_proto::status::with_causes;
use portrait_proto::token::ConsistencyToken;
use portrait_proto::v1::ModelManifest;
use portrait_store::{GenerationId, Generations, LogPosition, Nonce, Registry, Result as Stored};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Running steps, if any.
#[derive(Default)]
pub(super) struct ErasureCleanup {
    rewrite: Option<FileRewrite>,
    expiry: Option<ExpirySearch>,
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
    /// Starts a search for tombstones to expire, and a rewrite if one can clear something; called after a trim.
    pub(super) async fn begin(
        &mut self,
        owner: &mut PartitionOwner,
        position: &OwnedPosition,
        now: Timestamp,
    ) -> Result<(), Error> {
        let erasures = position.ledger.erasures();
        let waiting = owner.tombstones.iter().filter(|(_, tombstone)| !is_done(erasures, tombstone));
        let oldest = waiting.map(|(_, tombstone)| tombstone.accepted_at).min();
        owner.shared.logs.note_erasure(owner.partition, oldest);
        if self.expiry.is_none() {
            self.expiry = ExpirySearch::begin(owner, erasures, now);
        }
        if self.rewrite.is_some() || erasures.newest() <= erasures.cleared() {
            return Ok(());
        }
        let through = erasable_through(owner).await?;
        // The newest erasure may have no tombstone of its own any more, so its position is compared apart.
        let newest_is_erasable = erasures.newest() <= through;
        let clears_any = newest_is_erasable || owner.tombstones.any_between(erasures.cleared(), through);
        if clears_any && through > erasures.cleared() && may_rewrite(&owner.shared, now) {
            let store = Arc::clone(&owner.shared.store);
            #[expect(clippy::disallowed_methods, reason = "the worker holds the handle and awaits it")]
            let task = tokio::spawn(async move { store.rewrite_files().await });
            self.rewrite = Some(FileRewrite { through, task });
        }
        Ok(())
    }

    /// Notes what the finished steps have cleared and expired. False: another worker owns the partition.
    pub(super) async fn end(
        &mut self,
        owner: &mut PartitionOwner,
        position: &mut OwnedPosition,
    ) -> Result<bool, Error> {
        if let Some(expiry) = self.expiry.take_if(|expiry| expiry.is_finished())
            && !expiry.end(owner, position).await?
        {
            return Ok(false);
        }
        match self.rewrite.take_if(|rewrite| rewrite.task.is_finished()) {
            Some(rewrite) => rewrite.end(owner, position).await,
            None => Ok(true),
        }
    }
}

impl FileRewrite {
    /// Notes the cleared erasures in the ledger. False: another worker owns the partition.
    async fn end(mut self, owner: &mut PartitionOwner, position: &mut OwnedPosition) -> Result<bool, Error> {
        match (&mut self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                // The next trim starts another rewrite, at the earliest after `feature.rewrite_interval`.
                let error = with_causes(&error);
                tracing::warn!(partition = %owner.partition, error, "store files could not be rewritten");
                return Ok(true);
            }
            Err(_) => return Ok(true),
        }
        // A model may have been published during the rewrite.
        let through = self.through;
        if erasable_through(owner).await? < through {
            return Ok(true);
        }
        let is_noted =
            owner.write_note(position, |ledger| ledger.erasures_mut().cleared_through(through)).await?;
        owner.shared.metrics.erasures("cleared", u64::from(is_noted));
        Ok(is_noted)
    }
}

/// Returns the position up to which no stored data refers to an erased user: neither log, feed, nor a model.
async fn erasable_through(owner: &mut PartitionOwner) -> Result<LogSeq, Error> {
    let store = &owner.shared.store;
    // The state before the registry: a model that is published between the two is then seen.
    let meta = store.meta(owner.partition).await?;
    let registry = store.registry(None, Duration::ZERO).await?;
    let sampled_through = sampled_through(&registry, owner.partition, &meta.log_generations);
    // Log: every record before `log_first` is trimmed.
    let mut through = meta.log_first.previous();
    for (_, tombstone) in owner.tombstones.iter() {
        // Feed: the deletion and earlier changes name the user until they are trimmed.
        let is_in_feed = tombstone.feed_seq_max >= meta.feed_first;
        // Models: one that was sampled before the erasure was applied may name the user.
        let is_in_model = sampled_through.is_some_and(|sampled| sampled < tombstone.log_seq);
        if is_in_feed || is_in_model {
            through = through.min(tombstone.log_seq_min.previous());
        }
    }
    Ok(through)
}

/// Returns the lowest position of a partition's log that a model which names users was sampled at; `None` without such a model.
fn sampled_through(
    registry: &Registry,
    partition: PartitionId,
    generations: &Generations<LogSeq>,
) -> Option<LogSeq> {
    let naming_users =
        registry.models.iter().map(|model| manifest::decode(&model.manifest)).filter(names_users);
    let sampled = naming_users.map(|manifest| {
        let position = manifest.ok().and_then(|manifest| sampled_position(&manifest, partition));
        // Unknown for a model of an earlier release: as if it was sampled before every erasure.
        position.and_then(|position| generations.retained_through(position)).unwrap_or(LogSeq::ZERO)
    });
    sampled.min()
}

/// Returns the applied position of a partition before the vectors of a model were read, if the manifest has it.
fn sampled_position(manifest: &ModelManifest, partition: PartitionId) -> Option<LogPosition> {
    let positions = ConsistencyToken::from_stored(&manifest.sampled_positions).ok()?;
    let entry = positions.entries.into_iter().find(|entry| entry.partition == partition.get())?;
    let generation = GenerationId::new(Nonce::new(entry.generation));
    Some(LogPosition { generation, seq: LogSeq::new(entry.seq) })
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

/// Returns true if a model names users. A manifest that cannot be decoded counts as naming some.
fn names_users(manifest: &Result<ModelManifest, DamagedManifest>) -> bool {
    // Only the part of similar users has user ids: all others are learned from vectors, items and actions.
    manifest.as_ref().map_or(true, |manifest| manifest.parts.iter().any(|part| part.kind == LOOKALIKES))
}

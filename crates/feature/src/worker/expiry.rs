//! Expiry of tombstones. One partition coordinates an erasure, drawn by the pseudonym: its tombstone expires first, after all
//! partitions are done with the erasure, and the others follow. So while the coordinator has a tombstone, every other
//! partition that applied the erasure has one, and a receipt needs no positions of them.

use super::owner::PartitionOwner;
use crate::error::Error;
use crate::fold::OwnedPosition;
use portrait_profile::{ErasureLedger, PartitionId, PartitionLedger, Pseudonym, Timestamp, Tombstone};
use portrait_proto::status::with_causes;
use portrait_store::WorkerStore;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// Tombstones that one commit expires at most, to stay within the limits of a commit.
const EXPIRING_MAX: usize = 200;

/// Tombstone that is old enough to expire.
#[derive(Clone, Copy)]
struct OldTombstone {
    pseudonym: Pseudonym,
    tombstone: Tombstone,
}

/// Search for tombstones to expire. It reads other partitions, so it runs beside the worker, which must not wait for their servers.
pub(super) struct ExpirySearch(AbortOnDropHandle<Result<Vec<OldTombstone>, Error>>);

impl ExpirySearch {
    /// Begins a search among the tombstones whose erasure is complete here and that are older than the retention of log and
    /// feed plus `feature.tombstone_margin`. `None`: there are none.
    pub(super) fn begin(owner: &PartitionOwner, erasures: ErasureLedger, now: Timestamp) -> Option<Self> {
        let accepted_before = now.minus(owner.shared.config.tombstone_ttl());
        // Age alone is not enough: a late record may still come within the retention, and an erasure that is not swept and
        // cleared needs its tombstone to find what is left.
        let old = owner
            .tombstones
            .iter()
            .filter(|(_, tombstone)| tombstone.accepted_at < accepted_before && is_done(erasures, tombstone))
            .map(|(pseudonym, tombstone)| OldTombstone { pseudonym, tombstone: *tombstone });
        let old: Vec<OldTombstone> = old.collect();
        if old.is_empty() {
            return None;
        }
        let store = Arc::clone(&owner.shared.store);
        let partition = owner.partition;
        #[expect(clippy::disallowed_methods, reason = "the worker holds the handle and awaits it")]
        let task = tokio::spawn(async move { unneeded(store.as_ref(), partition, old).await });
        Some(Self(AbortOnDropHandle::new(task)))
    }

    /// Returns true if [`Self::end`] does not wait.
    pub(super) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Expires the tombstones that were found. False: another worker owns the partition.
    pub(super) async fn end(
        self,
        owner: &mut PartitionOwner,
        position: &mut OwnedPosition,
    ) -> Result<bool, Error> {
        let found = match self.0.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                // The next trim begins another search.
                let error = with_causes(&error);
                tracing::warn!(partition = %owner.partition, error, "tombstones could not be compared");
                return Ok(true);
            }
            Err(_) => return Ok(true),
        };
        // A tombstone that changed during the search belongs to a newer erasure.
        let unchanged =
            found.into_iter().filter(|old| owner.tombstones.get(old.pseudonym) == Some(&old.tombstone));
        let unchanged: Vec<OldTombstone> = unchanged.collect();
        for page in unchanged.chunks(EXPIRING_MAX) {
            page.iter().for_each(|old| owner.tombstones.expire(old.pseudonym));
            // The highest expired version remains as a floor: a version of a user must never repeat.
            let is_noted = owner.write_note(position, |ledger| {
                page.iter().for_each(|old| ledger.erasures_mut().expired(old.tombstone.version));
            });
            if !is_noted.await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Returns the tombstones of `own` that no other partition and no receipt needs.
async fn unneeded(
    store: &dyn WorkerStore,
    own: PartitionId,
    old: Vec<OldTombstone>,
) -> Result<Vec<OldTombstone>, Error> {
    // Rows of a source may be imported again years later: while its ids are kept, so are the tombstones of its users.
    if store.meta(own).await?.counters.sourced > 0 {
        return Ok(Vec::new());
    }
    let partitions = store.layout().partitions;
    let mut by_coordinator = BTreeMap::<PartitionId, Vec<OldTombstone>>::new();
    for old in old {
        by_coordinator.entry(partitions.coordinator_of(&old.pseudonym)).or_default().push(old);
    }
    let mut unneeded = by_coordinator.remove(&own).unwrap_or_default();
    for partition in partitions.all().filter(|partition| *partition != own) {
        unneeded = done_in(store, partition, unneeded).await?;
    }
    for (coordinator, group) in by_coordinator {
        unneeded.extend(released_by(store, coordinator, group).await?);
    }
    Ok(unneeded)
}

/// Returns the tombstones whose erasures another partition is done with. One that lost the erasure never is: the tombstones
/// of the others stay until the user is erased again.
async fn done_in(
    store: &dyn WorkerStore,
    partition: PartitionId,
    old: Vec<OldTombstone>,
) -> Result<Vec<OldTombstone>, Error> {
    if old.is_empty() {
        return Ok(old);
    }
    let there = tombstones(store, partition, &old).await?;
    // Read after the tombstones, so that the ledger is not older than they are.
    let note = store.meta(partition).await?.note;
    let erasures = PartitionLedger::decode(&note).map_err(|source| Error::Ledger { source })?.erasures();
    let done = old.into_iter().zip(there).filter(|(old, there)| {
        // An earlier erasure of the user may be done there while this one is not applied.
        there.is_some_and(|there| there.accepted_at >= old.tombstone.accepted_at && is_done(erasures, &there))
    });
    Ok(done.map(|(old, _)| old).collect())
}

/// Returns the tombstones that the coordinator has no more.
async fn released_by(
    store: &dyn WorkerStore,
    coordinator: PartitionId,
    old: Vec<OldTombstone>,
) -> Result<Vec<OldTombstone>, Error> {
    // Before the tombstones: a coordinator that lags may have none yet.
    let meta = store.meta(coordinator).await?;
    if meta.applied_through < meta.log_end {
        return Ok(Vec::new());
    }
    let there = tombstones(store, coordinator, &old).await?;
    Ok(old.into_iter().zip(there).filter(|(_, there)| there.is_none()).map(|(old, _)| old).collect())
}

/// Returns the tombstones of the same users in another partition.
async fn tombstones(
    store: &dyn WorkerStore,
    partition: PartitionId,
    old: &[OldTombstone],
) -> Result<Vec<Option<Tombstone>>, Error> {
    let pseudonyms: Vec<Pseudonym> = old.iter().map(|old| old.pseudonym).collect();
    let mut found = Vec::with_capacity(pseudonyms.len());
    for page in pseudonyms.chunks(store.limits().page_items) {
        found.extend(store.tombstones(partition, page).await?);
    }
    let decoded = found.into_iter().map(|bytes| bytes.map(|bytes| Tombstone::decode(&bytes)).transpose());
    decoded.collect::<Result<_, _>>().map_err(|source| Error::Tombstone { source })
}

/// Returns true if nothing is left of the newest erasure of a tombstone.
pub(super) fn is_done(erasures: ErasureLedger, tombstone: &Tombstone) -> bool {
    erasures.is_swept(tombstone.log_seq) && erasures.is_cleared(tombstone.log_seq)
}

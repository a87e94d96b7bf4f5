//! Assignment of partitions to workers by rendezvous hashing over the members that the store knows.
//!
//! Every worker computes the assignment alone, from the same member list. Two workers with different lists may both try to
//! own a partition for a moment: the lease allows one of them. A worker that joins or leaves moves only the partitions that
//! it takes or had.

use crate::context::FeatureContext;
use portrait_profile::{PartitionCount, PartitionId, TimeDelta};
use portrait_store::{Member, Nonce};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh64::xxh64;

/// Longest interval between heartbeats. A crashed worker is replaced after its time to live; a new one takes over within this.
const HEARTBEAT_EVERY_MAX: Duration = Duration::from_millis(500);

/// Partitions assigned to this worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartitionAssignment {
    /// Flags by partition index; empty before the members are known.
    assigned: Vec<bool>,
}

impl PartitionAssignment {
    /// Computes the partitions of `nonce` among `workers`.
    fn for_worker(nonce: Nonce, workers: &[Member], partitions: PartitionCount) -> Self {
        let assigned = partitions.all().map(|partition| rendezvous_owner(partition, workers) == Some(nonce));
        Self { assigned: assigned.collect() }
    }

    /// Returns true if `partition` is assigned.
    pub(crate) fn contains(&self, partition: PartitionId) -> bool {
        self.assigned.get(usize::from(partition.get())).copied().unwrap_or(false)
    }

    /// Returns the number of assigned partitions; none before the members are known.
    pub(crate) fn count(&self) -> Option<usize> {
        (!self.assigned.is_empty()).then(|| self.assigned.iter().filter(|is_assigned| **is_assigned).count())
    }
}

/// Returns the worker with the highest hash of (nonce, partition): rendezvous hashing (Thaler and Ravishankar, "Using
/// name-based mappings to increase hit rates", 1998).
fn rendezvous_owner(partition: PartitionId, workers: &[Member]) -> Option<Nonce> {
    let owner = workers.iter().max_by_key(|worker| {
        // The nonce breaks a tie of hashes, so that all workers agree.
        (xxh64(&worker.nonce.get().to_be_bytes(), u64::from(partition.get())), worker.nonce)
    });
    owner.map(|worker| worker.nonce)
}

/// Sends heartbeats and publishes the assignment that follows from the members, until `shutdown`; then deregisters.
pub(crate) async fn run_membership(
    shared: Arc<FeatureContext>,
    assignment: watch::Sender<PartitionAssignment>,
    shutdown: CancellationToken,
) {
    let partitions = shared.store.layout().partitions;
    let worker = Member { nonce: shared.nonce, name: shared.name.clone() };
    let ttl = shared.config.lease_ttl;
    while !shutdown.is_cancelled() {
        match shared.store.heartbeat(&worker, ttl, shared.now()).await {
            Ok(workers) => {
                let current = PartitionAssignment::for_worker(worker.nonce, &workers, partitions);
                shared.ownership.send_if_modified(|known| {
                    let before = std::mem::replace(&mut known.assigned, current.count());
                    before != known.assigned
                });
                assignment.send_if_modified(|known| {
                    let is_changed = *known != current;
                    if is_changed {
                        tracing::info!(
                            workers = workers.len(),
                            partitions = current.count(),
                            "partition assignment changed"
                        );
                        *known = current;
                    }
                    is_changed
                });
            }
            // The last assignment stays. If the store is away for longer, the leases end by themselves.
            Err(error) => tracing::warn!(%error, "membership cannot be read; retrying"),
        }
        let _ = tokio::time::timeout(heartbeat_interval(ttl), shutdown.cancelled()).await;
    }
    // Deregister before the leases are released: the other workers then acquire them at once instead of after the time to live.
    if let Err(error) = shared.store.deregister(worker.nonce).await {
        tracing::warn!(%error, "worker could not deregister");
    }
}

/// Returns the heartbeat interval: a third of the time to live, so that two heartbeats may fail.
fn heartbeat_interval(ttl: TimeDelta) -> Duration {
    let third =
        Duration::from_millis(u64::try_from(ttl.millis() / 3).unwrap_or(1)).max(Duration::from_millis(1));
    third.min(HEARTBEAT_EVERY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(nonces: &[u128]) -> Vec<Member> {
        nonces.iter().map(|nonce| Member { nonce: Nonce::new(*nonce), name: String::new() }).collect()
    }

    #[test]
    fn every_partition_has_one_owner_and_a_leaving_worker_moves_only_its_own() {
        let partitions = PartitionCount::new(64).expect("64 partitions");
        let all = workers(&[11, 22, 33, 44]);
        let assignments = |workers: &[Member]| -> Vec<PartitionAssignment> {
            workers
                .iter()
                .map(|worker| PartitionAssignment::for_worker(worker.nonce, workers, partitions))
                .collect()
        };
        let before = assignments(&all);
        for partition in partitions.all() {
            assert_eq!(
                before.iter().filter(|assignment| assignment.contains(partition)).count(),
                1,
                "{partition}"
            );
        }
        // Binomial with 64 and a quarter: four standard deviations are 14.
        assert!(
            before.iter().all(|assignment| assignment.count().is_some_and(|count| (2..=30).contains(&count)))
        );
        let after = assignments(&all[..3]);
        for (before, after) in before.iter().zip(&after) {
            assert!(
                partitions.all().all(|partition| !before.contains(partition) || after.contains(partition))
            );
        }
        assert_eq!(assignments(&all[..1])[0].count(), Some(64));
        assert_eq!(
            PartitionAssignment::for_worker(Nonce::new(99), &all, partitions).count(),
            Some(0),
            "not a member"
        );
        assert_eq!(PartitionAssignment::default().count(), None);
    }
}

//! Who owns which partition: of all workers who are there, the one that ranks highest for it. In go the workers as the store has
//! them, again and again; out goes the share of this one. Safety never rests on it: that is the lease's work. A worker that comes
//! or goes changes the owner of no more partitions than it takes or leaves.

use crate::context::Shared;
use portrait_profile::{PartitionCount, PartitionId, Span};
use portrait_store::{Nonce, Worker};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh64::xxh64;

/// How often a worker says that it is there, at the least, and hears who else is: this long may pass before another takes over.
const ATTEND_EVERY_MAX: Duration = Duration::from_millis(500);

/// The partitions that are this worker's to own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// By partition; empty before it is known who is there.
    mine: Vec<bool>,
}

impl Share {
    /// Of `nonce`, while those are there.
    fn of(nonce: Nonce, workers: &[Worker], partitions: PartitionCount) -> Self {
        let mine = partitions.all().map(|partition| owner(partition, workers) == Some(nonce));
        Self { mine: mine.collect() }
    }

    /// Whether a partition is among them.
    pub(crate) fn has(&self, partition: PartitionId) -> bool {
        self.mine.get(usize::from(partition.get())).copied().unwrap_or(false)
    }

    /// How many there are; none before it is known who is there.
    pub(crate) fn count(&self) -> Option<usize> {
        (!self.mine.is_empty()).then(|| self.mine.iter().filter(|mine| **mine).count())
    }
}

/// Who of `workers` ranks highest for a partition (Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
/// 1998): each its own order of all, so that whoever goes is replaced partition by partition.
fn owner(partition: PartitionId, workers: &[Worker]) -> Option<Nonce> {
    let rank = |worker: &&Worker| {
        (xxh64(&worker.nonce.get().to_be_bytes(), u64::from(partition.get())), worker.nonce)
    };
    workers.iter().max_by_key(rank).map(|worker| worker.nonce)
}

/// Says again and again that this worker is there, and keeps `share` at what that leaves it; says at the end that it goes. While
/// the store does not answer, the share stays: its leases end by themselves.
pub(crate) async fn attend(shared: Arc<Shared>, share: watch::Sender<Share>, shutdown: CancellationToken) {
    let partitions = shared.store.layout().partitions;
    let worker = Worker { nonce: shared.nonce, name: shared.name.clone() };
    let ttl = shared.config.lease_ttl;
    while !shutdown.is_cancelled() {
        match shared.store.attend(&worker, ttl, shared.now()).await {
            Ok(workers) => {
                let found = Share::of(worker.nonce, &workers, partitions);
                shared.ownership.send_if_modified(|known| {
                    let before = std::mem::replace(&mut known.share, found.count());
                    before != known.share
                });
                share.send_if_modified(|known| {
                    let changed = *known != found;
                    if changed {
                        tracing::info!(
                            workers = workers.len(),
                            partitions = found.count(),
                            "share of the partitions"
                        );
                        *known = found;
                    }
                    changed
                });
            }
            Err(error) => tracing::warn!(%error, "it is not known which workers are there; trying again"),
        }
        let _ = tokio::time::timeout(every(ttl), shutdown.cancelled()).await;
    }
    // Those who stay take over as soon as the leases are given back, and need not wait until this one is missed.
    if let Err(error) = shared.store.leave(worker.nonce).await {
        tracing::warn!(%error, "the others could not be told that this worker goes");
    }
}

/// Often enough that two calls may fail before it is missed.
fn every(ttl: Span) -> Duration {
    let third =
        Duration::from_millis(u64::try_from(ttl.millis() / 3).unwrap_or(1)).max(Duration::from_millis(1));
    third.min(ATTEND_EVERY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(numbers: &[u128]) -> Vec<Worker> {
        numbers.iter().map(|number| Worker { nonce: Nonce::new(*number), name: String::new() }).collect()
    }

    #[test]
    fn every_partition_has_one_owner_and_a_worker_that_goes_leaves_the_others_theirs() {
        let partitions = PartitionCount::new(64).expect("64 partitions");
        let all = workers(&[11, 22, 33, 44]);
        let shares = |workers: &[Worker]| -> Vec<Share> {
            workers.iter().map(|worker| Share::of(worker.nonce, workers, partitions)).collect()
        };
        let before = shares(&all);
        for partition in partitions.all() {
            assert_eq!(before.iter().filter(|share| share.has(partition)).count(), 1, "{partition}");
        }
        // Binomial with 64 and a quarter: four standard deviations are 14.
        assert!(before.iter().all(|share| share.count().is_some_and(|count| (2..=30).contains(&count))));
        let after = shares(&all[..3]);
        for (before, after) in before.iter().zip(&after) {
            assert!(partitions.all().all(|partition| !before.has(partition) || after.has(partition)));
        }
        assert_eq!(shares(&all[..1])[0].count(), Some(64));
        assert_eq!(Share::of(Nonce::new(99), &all, partitions).count(), Some(0), "whoever is not there");
        assert_eq!(Share::default().count(), None);
    }
}

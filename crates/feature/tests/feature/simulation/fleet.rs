//! Fleet of simulated workers: real feature services over the store of the simulation, each with a clock of its own.

use super::link::StoreLink;
use super::store::SimulatedStore;
use portrait_feature::{Config, FeatureService};
use portrait_profile::PartitionCount;
use portrait_runtime::Clock;
use portrait_runtime::telemetry::Instruments;
use portrait_store::{ProfileClock, WorkerStore};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Largest deviation of a worker's clock from that of the store, to either side.
const SKEW_MAX_MS: i64 = 30_000;
/// Longest time of the start of a group: processes never start in the same instant.
const START_WITHIN_MS: u64 = 1_000;
/// Interval at which the fleet is examined.
const POLL: Duration = Duration::from_millis(20);

/// Running workers by name.
pub(super) struct Fleet {
    pub(super) store: Arc<SimulatedStore>,
    workers: BTreeMap<String, SimulatedWorker>,
    rng: StdRng,
}

struct SimulatedWorker {
    link: Arc<StoreLink>,
    service: FeatureService,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

/// Clock that runs with virtual time and is off by a fixed amount.
struct SkewedClock {
    started_at: Instant,
    skew_ms: i64,
}

impl Clock for SkewedClock {
    fn now_ms(&self) -> i64 {
        let elapsed = i64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(i64::MAX);
        // 2026, since a deviation must not lead before the epoch.
        1_767_225_600_000 + elapsed + self.skew_ms
    }
}

impl Fleet {
    /// Creates a fleet without workers. Everything random follows from `seed`, except for the nonces.
    pub(super) fn new(partitions: u16, seed: u64) -> Self {
        let partitions = PartitionCount::new(partitions).expect("not 0");
        Self {
            store: SimulatedStore::new(partitions),
            workers: BTreeMap::new(),
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// Starts a worker for each name, spread over [`START_WITHIN_MS`].
    pub(super) async fn start(&mut self, names: &[String]) {
        let mut waits: Vec<u64> = names.iter().map(|_| self.rng.random_range(0..START_WITHIN_MS)).collect();
        waits.sort_unstable();
        let begun = Instant::now();
        for (name, wait) in names.iter().zip(waits) {
            tokio::time::sleep_until(begun + Duration::from_millis(wait)).await;
            let skew_ms = self.rng.random_range(-SKEW_MAX_MS..=SKEW_MAX_MS);
            self.workers.insert(name.clone(), SimulatedWorker::start(&self.store, name, skew_ms));
        }
    }

    /// Draws the names of `count` running workers.
    pub(super) fn draw(&mut self, count: usize) -> Vec<String> {
        let mut names: Vec<String> = self.workers.keys().cloned().collect();
        names.shuffle(&mut self.rng);
        names.truncate(count);
        names
    }

    /// Kills workers: they neither deregister nor release anything.
    pub(super) fn kill(&mut self, names: &[String]) {
        for name in names {
            let worker = self.workers.remove(name).expect("a running worker");
            worker.link.kill();
            self.store.owner_died(name);
        }
    }

    /// Stops workers as a rolling update does, and waits for their ends.
    pub(super) async fn stop(&mut self, names: &[String]) {
        let stopping: Vec<SimulatedWorker> =
            names.iter().map(|name| self.workers.remove(name).expect("a running worker")).collect();
        stopping.iter().for_each(|worker| worker.shutdown.cancel());
        for worker in stopping {
            worker.running.await.expect("no panic");
        }
    }

    /// Waits until every partition has an owner and every worker owns exactly what is assigned to it.
    pub(super) async fn settled(&self) {
        let partitions = usize::from(self.store.layout.partitions.get());
        let settling = async {
            loop {
                let ownerships: Vec<_> =
                    self.workers.values().map(|worker| *worker.service.ownership().borrow()).collect();
                let owned: usize = ownerships.iter().map(|ownership| ownership.owned).sum();
                let as_assigned =
                    ownerships.iter().all(|ownership| ownership.assigned == Some(ownership.owned));
                if self.store.is_owned() && as_assigned && owned == partitions {
                    return;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let settled = tokio::time::timeout(Duration::from_secs(120), settling).await;
        assert!(settled.is_ok(), "partitions are without an owner after two minutes");
    }

    /// Returns the number of partitions of each running worker.
    pub(super) fn loads(&self) -> Vec<usize> {
        self.workers.values().map(|worker| worker.service.ownership().borrow().owned).collect()
    }

    /// Returns the names of the running workers.
    pub(super) fn names(&self) -> Vec<String> {
        self.workers.keys().cloned().collect()
    }
}

impl SimulatedWorker {
    fn start(store: &Arc<SimulatedStore>, name: &str, skew_ms: i64) -> Self {
        let link = StoreLink::to(store);
        let service = FeatureService::build(
            Arc::clone(&link) as Arc<dyn WorkerStore>,
            name.to_owned(),
            ProfileClock::Wall,
            Arc::new(SkewedClock { started_at: Instant::now(), skew_ms }),
            Instruments::disabled(),
            watch::Sender::new(None).subscribe(),
            Config::default().validate().expect("the defaults make sense"),
        );
        let shutdown = CancellationToken::new();
        let running = service.run(&shutdown);
        Self { link, service, shutdown, running }
    }
}

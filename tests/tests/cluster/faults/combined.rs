//! Several faults at once: each meets the partially completed work of the others.

use super::{random_pause, redis_on_disk};
use portrait_store_redis::testing::{FaultPoint, Proxy, Server as Redis};
use portrait_tests::Server;
use portrait_tests::faults::Trial;
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Instant;

/// Maximum number of faults per cycle.
const FAULTS_MAX: u32 = 5;

/// Injected faults that need a repair.
#[derive(Default)]
struct CombinedFault {
    redis_killed: bool,
    redis_suspended: bool,
    /// Roles of the killed processes.
    killed: Vec<&'static str>,
    /// Suspended workers.
    suspended: Vec<Server>,
}

impl CombinedFault {
    /// Injects one more fault of the kinds that are still possible.
    fn inject_one(&mut self, trial: &mut Trial, redis: &mut Redis, proxy: &Proxy, rng: &mut StdRng) {
        let redis_up = !self.redis_killed && !self.redis_suspended;
        let workers = trial.cluster.servers_of("feature").count();
        match rng.random_range(0..7) {
            0 if workers > 1 => {
                trial.take("feature", rng.random_range(0..workers)).kill();
                self.killed.push("feature");
            }
            1 if workers > 1 => {
                let suspended = trial.take("feature", rng.random_range(0..workers));
                suspended.suspend();
                self.suspended.push(suspended);
            }
            2 if trial.cluster.servers_of("ingest").count() > 1 => {
                trial.take("ingest", rng.random_range(0..2)).kill();
                self.killed.push("ingest");
            }
            3 if redis_up => {
                redis.kill();
                self.redis_killed = true;
            }
            4 if redis_up => {
                redis.hang();
                self.redis_suspended = true;
            }
            5 if redis_up => redis.command("CONFIG SET maxmemory 1mb"),
            _ => (0..3).for_each(|_| {
                proxy.lose_reply_to(if rng.random_bool(0.5) {
                    FaultPoint::Append
                } else {
                    FaultPoint::Commit
                });
            }),
        }
    }

    /// Restarts and resumes the affected processes. Everything else must recover without help.
    async fn repair(self, trial: &mut Trial, redis: &mut Redis, rng: &mut StdRng) {
        if self.redis_killed {
            tokio::task::block_in_place(|| redis.restart());
        }
        if self.redis_suspended {
            redis.wake();
        }
        redis.command::<()>("CONFIG SET maxmemory 0");
        for suspended in self.suspended {
            random_pause(rng, 500).await;
            suspended.resume();
            trial.put_back("feature", suspended);
        }
        for role in self.killed {
            random_pause(rng, 300).await;
            trial.add(role);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn combined_faults_lose_and_duplicate_nothing() {
    let mut redis = redis_on_disk();
    let proxy = Proxy::to(redis.port()).await;
    let mut trial = Trial::start("combined", &proxy.url(), &[], &["feature", "ingest"]);
    while let Some(mut rng) = trial.next() {
        let mut fault = CombinedFault::default();
        for _ in 0..rng.random_range(2..=FAULTS_MAX) {
            random_pause(&mut rng, 600).await;
            fault.inject_one(&mut trial, &mut redis, &proxy, &mut rng);
        }
        random_pause(&mut rng, 2500).await;
        let repaired = Instant::now();
        fault.repair(&mut trial, &mut redis, &mut rng).await;
        let took = trial.await_progress(repaired).await;
        trial.plan.record_duration(took);
        trial.compare().await;
    }
    trial.finish().await;
}

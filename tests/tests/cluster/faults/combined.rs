//! Several kinds of harm at once: what each of them leaves half done is what the others meet.

use super::{pause, redis_on_disk};
use portrait_store_redis::testing::{Proxy, Server as Redis, FaultPoint};
use portrait_tests::Server;
use portrait_tests::faults::Trial;
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Instant;

/// Kinds of harm in one cycle, at most.
const HARMS_MAX: u32 = 5;

/// What has to be mended.
#[derive(Default)]
struct CombinedFault {
    redis_killed: bool,
    redis_hangs: bool,
    /// Roles of processes that were killed.
    killed: Vec<&'static str>,
    /// Workers that hang.
    hanging: Vec<Server>,
}

impl CombinedFault {
    /// Does one more of the kinds that are left.
    fn one_more(&mut self, trial: &mut Trial, redis: &mut Redis, proxy: &Proxy, chance: &mut StdRng) {
        let up = !self.redis_killed && !self.redis_hangs;
        let workers = trial.cluster.of("feature").count();
        match chance.random_range(0..7) {
            0 if workers > 1 => {
                trial.take("feature", chance.random_range(0..workers)).kill();
                self.killed.push("feature");
            }
            1 if workers > 1 => {
                let zombie = trial.take("feature", chance.random_range(0..workers));
                zombie.hang();
                self.hanging.push(zombie);
            }
            2 if trial.cluster.of("ingest").count() > 1 => {
                trial.take("ingest", chance.random_range(0..2)).kill();
                self.killed.push("ingest");
            }
            3 if up => {
                redis.kill();
                self.redis_killed = true;
            }
            4 if up => {
                redis.hang();
                self.redis_hangs = true;
            }
            5 if up => redis.command("CONFIG SET maxmemory 1mb"),
            _ => (0..3).for_each(|_| {
                proxy.lose_reply_to(if chance.random_bool(0.5) { FaultPoint::Append } else { FaultPoint::Commit });
            }),
        }
    }

    /// Brings back what it took, and nothing else: the rest is for the processes to find out.
    async fn mend(self, trial: &mut Trial, redis: &mut Redis, chance: &mut StdRng) {
        if self.redis_killed {
            tokio::task::block_in_place(|| redis.restart());
        }
        if self.redis_hangs {
            redis.wake();
        }
        redis.command::<()>("CONFIG SET maxmemory 0");
        for zombie in self.hanging {
            pause(chance, 500).await;
            zombie.wake();
            trial.put_back("feature", zombie);
        }
        for role in self.killed {
            pause(chance, 300).await;
            trial.add(role);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_killed_hangs_is_full_and_loses_answers_at_once_loses_and_doubles_nothing() {
    let mut redis = redis_on_disk();
    let proxy = Proxy::to(redis.port()).await;
    let mut trial = Trial::begin("together", &proxy.url(), &[], &["feature", "ingest"]);
    while let Some(mut chance) = trial.next() {
        let mut harm = CombinedFault::default();
        for _ in 0..chance.random_range(2..=HARMS_MAX) {
            pause(&mut chance, 600).await;
            harm.one_more(&mut trial, &mut redis, &proxy, &mut chance);
        }
        pause(&mut chance, 2500).await;
        let mended = Instant::now();
        harm.mend(&mut trial, &mut redis, &mut chance).await;
        let took = trial.everything_moves(mended).await;
        trial.plan.took(took);
        trial.compare().await;
    }
    trial.end().await;
}

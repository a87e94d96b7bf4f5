//! Processes are killed exactly between two steps of the protocol: a proxy holds the chosen request until the process is dead.

use super::{random_pause, redis_on_disk};
use portrait_store_redis::testing::{FaultMoment, FaultPoint, Proxy};
use portrait_tests::faults::{LEASE, TAKEOVER, Trial};
use std::time::Instant;

/// Role to kill, request, and moment.
const POINTS: [(&str, FaultPoint, FaultMoment); 5] = [
    ("feature", FaultPoint::Commit, FaultMoment::Sent),
    ("feature", FaultPoint::Commit, FaultMoment::Done),
    ("ingest", FaultPoint::Append, FaultMoment::Sent),
    ("ingest", FaultPoint::Append, FaultMoment::Done),
    // Before its first commit.
    ("feature", FaultPoint::TakeLease, FaultMoment::Done),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_killed_between_two_steps_loses_and_duplicates_nothing() {
    let redis = redis_on_disk();
    let proxy = Proxy::to(redis.port()).await;
    let mut trial = Trial::start("killed-at-failpoint", &redis.url(), &[], &[]);
    // The second process of each role is the one that is killed; its connection goes through the proxy.
    trial.add_over("feature", &proxy.url());
    trial.add_over("ingest", &proxy.url());
    for point in POINTS.iter().cycle().skip((trial.plan.cycle() % POINTS.len() as u64) as usize) {
        let Some(mut rng) = trial.next() else { break };
        let (role, step, moment) = *point;
        random_pause(&mut rng, 500).await;
        let takes_a_lease = step == FaultPoint::TakeLease;
        if takes_a_lease {
            // Only a starting worker acquires leases.
            trial.take(role, 1).kill();
        }
        let held = proxy.hold(step, moment);
        if takes_a_lease {
            trial.add_over(role, &proxy.url());
        }
        held.reached().await;
        let killed = Instant::now();
        trial.take(role, 1).kill();
        let took = trial.await_progress(killed).await;
        trial.plan.record_duration(took);
        assert!(took <= LEASE + TAKEOVER, "the takeover after {point:?} took {took:?}");
        trial.add_over(role, &proxy.url());
        trial.compare().await;
    }
    trial.finish().await;
}

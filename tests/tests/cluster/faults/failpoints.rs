//! Processes of Portrait are killed exactly between two steps of the protocol: a wire holds the chosen request until they are gone.

use super::{pause, redis_on_disk};
use portrait_store_redis::testing::{FaultMoment, Proxy, FaultPoint};
use portrait_tests::faults::{LEASE, TAKEOVER, Trial};
use std::time::Instant;

/// Who is killed, and where.
const POINTS: [(&str, FaultPoint, FaultMoment); 5] = [
    ("feature", FaultPoint::Commit, FaultMoment::Sent),
    ("feature", FaultPoint::Commit, FaultMoment::Done),
    ("ingest", FaultPoint::Append, FaultMoment::Sent),
    ("ingest", FaultPoint::Append, FaultMoment::Done),
    // And so before its first commit.
    ("feature", FaultPoint::TakeLease, FaultMoment::Done),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_killed_between_any_two_steps_loses_and_doubles_nothing() {
    let redis = redis_on_disk();
    let proxy = Proxy::to(redis.port()).await;
    let mut trial = Trial::begin("killed-at-a-point", &redis.url(), &[], &[]);
    // The second of each role is the one that is killed.
    trial.add_over("feature", &proxy.url());
    trial.add_over("ingest", &proxy.url());
    for point in POINTS.iter().cycle().skip((trial.plan.cycle() % POINTS.len() as u64) as usize) {
        let Some(mut chance) = trial.next() else { break };
        let (role, step, moment) = *point;
        pause(&mut chance, 500).await;
        let takes_a_lease = step == FaultPoint::TakeLease;
        if takes_a_lease {
            // Only who comes takes leases.
            trial.take(role, 1).kill();
        }
        let held = proxy.hold(step, moment);
        if takes_a_lease {
            trial.add_over(role, &proxy.url());
        }
        held.reached().await;
        let killed = Instant::now();
        trial.take(role, 1).kill();
        let took = trial.everything_moves(killed).await;
        trial.plan.took(took);
        assert!(took <= LEASE + TAKEOVER, "nobody took over for {took:?} after {point:?}");
        trial.add_over(role, &proxy.url());
        trial.compare().await;
    }
    trial.end().await;
}

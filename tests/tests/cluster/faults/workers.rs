//! Processes of Portrait are lost, hang, or come and go; the store stays.

use super::{pause, redis_on_disk};
use portrait_tests::faults::{LEASE, TAKEOVER, Trial};
use rand::RngExt;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_feature_worker_loses_and_doubles_nothing_and_is_replaced_within_its_lease() {
    let redis = redis_on_disk();
    let mut trial = Trial::begin("feature-killed", &redis.url(), &[], &["feature"]);
    while let Some(mut chance) = trial.next() {
        pause(&mut chance, 1000).await;
        let victim = trial.take("feature", chance.random_range(0..2));
        let killed = Instant::now();
        victim.kill();
        let back_at_once = chance.random_bool(0.5);
        if back_at_once {
            trial.add("feature");
        }
        let took = trial.everything_moves(killed).await;
        trial.plan.took(took);
        assert!(took <= LEASE + TAKEOVER, "nobody took over for {took:?}");
        if !back_at_once {
            trial.add("feature");
        }
        trial.compare().await;
    }
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_ingest_loses_nothing_that_it_acknowledged_and_doubles_nothing() {
    let redis = redis_on_disk();
    let mut trial = Trial::begin("ingest-killed", &redis.url(), &[], &["ingest"]);
    while let Some(mut chance) = trial.next() {
        pause(&mut chance, 500).await;
        trial.take("ingest", chance.random_range(0..2)).kill();
        pause(&mut chance, 200).await;
        trial.add("ingest");
        trial.compare().await;
    }
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_hangs_past_its_lease_commits_nothing_when_it_goes_on() {
    let redis = redis_on_disk();
    let mut trial = Trial::begin("feature-hangs", &redis.url(), &[], &["feature"]);
    let ran = trial.plan.next().is_some();
    let mut fenced = 0.0;
    while let Some(mut chance) = trial.next() {
        pause(&mut chance, 1000).await;
        // The other one answers for the deployment meanwhile.
        let zombie = trial.take("feature", chance.random_range(0..2));
        let hung = Instant::now();
        zombie.hang();
        let took = trial.everything_moves(hung).await;
        trial.plan.took(took);
        assert!(took <= LEASE + TAKEOVER, "nobody took over for {took:?}");
        pause(&mut chance, 500).await;
        zombie.wake();
        trial.put_back("feature", zombie);
        // It owns its share again, and applies.
        trial.everything_moves(hung).await;
        trial.compare().await;
        let workers: Vec<_> = trial.cluster.of("feature").collect();
        fenced = workers.iter().map(|worker| worker.counted("portrait_feature_fenced_commits_total")).sum();
    }
    println!("{fenced} commits were fenced");
    assert!(fenced > 0.0 || !ran, "no zombie tried to commit");
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_that_come_and_go_lose_nothing_and_hand_over_at_once() {
    /// How long a worker that goes in order may leave its partitions to nobody.
    const HANDOVER: Duration = Duration::from_secs(3);
    let redis = redis_on_disk();
    let mut trial = Trial::begin("feature-resized", &redis.url(), &[], &[]);
    while let Some(mut chance) = trial.next() {
        phase(&mut trial).await;
        (0..3).for_each(|_| trial.add("feature"));
        trial.everything_moves(Instant::now()).await;
        phase(&mut trial).await;
        pause(&mut chance, 500).await;
        // From four to two, and on to the one that the next cycle begins with.
        for left in [3, 2, 1] {
            let goes = trial.take("feature", chance.random_range(0..=left));
            let begun = Instant::now();
            let stopping = tokio::task::spawn_blocking(|| goes.stop());
            let took = trial.everything_moves(begun).await;
            trial.plan.took(took);
            assert!(took <= HANDOVER, "nobody took over for {took:?}");
            assert!(stopping.await.expect("no panic").success(), "it stops in order");
            if left == 2 {
                phase(&mut trial).await;
            }
            pause(&mut chance, 300).await;
        }
        trial.compare().await;
    }
    trial.end().await;
}

/// Lets the load run on, and notes how much was acknowledged with the workers that are there.
async fn phase(trial: &mut Trial) {
    const PHASE: Duration = Duration::from_secs(1);
    let (begun, before) = (Instant::now(), trial.load.oracle().counts.acknowledged);
    tokio::time::sleep(PHASE).await;
    let acknowledged = trial.load.oracle().counts.acknowledged - before;
    let workers = trial.cluster.of("feature").count() as u64;
    trial.plan.phase(workers, acknowledged, begun.elapsed());
}

//! Processes of Portrait are killed, suspended, added and removed; the store keeps running.

use super::{random_pause, redis_on_disk};
use portrait_tests::faults::{LEASE, TAKEOVER, Trial};
use rand::RngExt;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_feature_worker_loses_and_duplicates_nothing_and_is_replaced_within_its_lease() {
    let redis = redis_on_disk();
    let mut trial = Trial::start("feature-killed", &redis.url(), &[], &["feature"]);
    while let Some(mut rng) = trial.next() {
        random_pause(&mut rng, 1000).await;
        let victim = trial.take("feature", rng.random_range(0..2));
        let killed = Instant::now();
        victim.kill();
        let restarts_at_once = rng.random_bool(0.5);
        if restarts_at_once {
            trial.add("feature");
        }
        let took = trial.await_progress(killed).await;
        trial.plan.record_duration(took);
        assert!(took <= LEASE + TAKEOVER, "the takeover took {took:?}");
        if !restarts_at_once {
            trial.add("feature");
        }
        trial.compare().await;
    }
    trial.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_ingest_loses_nothing_acknowledged_and_duplicates_nothing() {
    let redis = redis_on_disk();
    let mut trial = Trial::start("ingest-killed", &redis.url(), &[], &["ingest"]);
    while let Some(mut rng) = trial.next() {
        random_pause(&mut rng, 500).await;
        trial.take("ingest", rng.random_range(0..2)).kill();
        random_pause(&mut rng, 200).await;
        trial.add("ingest");
        trial.compare().await;
    }
    trial.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_suspended_past_its_lease_commits_nothing_when_it_resumes() {
    let redis = redis_on_disk();
    let mut trial = Trial::start("feature-hangs", &redis.url(), &[], &["feature"]);
    let ran = trial.plan.next().is_some();
    let mut fenced = 0.0;
    while let Some(mut rng) = trial.next() {
        random_pause(&mut rng, 1000).await;
        // The other worker serves the status calls meanwhile.
        let suspended = trial.take("feature", rng.random_range(0..2));
        let suspended_at = Instant::now();
        suspended.suspend();
        let took = trial.await_progress(suspended_at).await;
        trial.plan.record_duration(took);
        assert!(took <= LEASE + TAKEOVER, "the takeover took {took:?}");
        random_pause(&mut rng, 500).await;
        suspended.resume();
        trial.put_back("feature", suspended);
        // The resumed worker owns partitions again and applies records.
        trial.await_progress(suspended_at).await;
        trial.compare().await;
        let workers: Vec<_> = trial.cluster.servers_of("feature").collect();
        fenced =
            workers.iter().map(|worker| worker.metric_total("portrait_feature_fenced_commits_total")).sum();
    }
    println!("{fenced} commits were fenced");
    assert!(fenced > 0.0 || !ran, "no resumed worker tried to commit");
    trial.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn added_and_removed_workers_lose_nothing_and_hand_over_immediately() {
    /// Time limit for the handover of the partitions of a worker that stops gracefully.
    const HANDOVER: Duration = Duration::from_secs(3);
    let redis = redis_on_disk();
    let mut trial = Trial::start("feature-resized", &redis.url(), &[], &[]);
    while let Some(mut rng) = trial.next() {
        measure_phase(&mut trial).await;
        (0..3).for_each(|_| trial.add("feature"));
        trial.await_progress(Instant::now()).await;
        measure_phase(&mut trial).await;
        random_pause(&mut rng, 500).await;
        // From four workers down to the one that the next cycle starts with.
        for left in [3, 2, 1] {
            let leaving = trial.take("feature", rng.random_range(0..=left));
            let started = Instant::now();
            let stopping = tokio::task::spawn_blocking(|| leaving.stop());
            let took = trial.await_progress(started).await;
            trial.plan.record_duration(took);
            assert!(took <= HANDOVER, "the takeover took {took:?}");
            assert!(stopping.await.expect("no panic").success(), "the worker stops gracefully");
            if left == 2 {
                measure_phase(&mut trial).await;
            }
            random_pause(&mut rng, 300).await;
        }
        trial.compare().await;
    }
    trial.finish().await;
}

/// Measures the acknowledged events of one second with the current number of workers.
async fn measure_phase(trial: &mut Trial) {
    const PHASE: Duration = Duration::from_secs(1);
    let started = Instant::now();
    let before = trial.load.oracle().counts.acknowledged;
    tokio::time::sleep(PHASE).await;
    let acknowledged = trial.load.oracle().counts.acknowledged - before;
    let workers = trial.cluster.servers_of("feature").count() as u64;
    trial.plan.record_phase(workers, acknowledged, started.elapsed());
}

//! Faults of a single Redis server: killed, ephemeral, lost replies, out of memory. The processes of Portrait keep running and recover
//! without help.

use super::{random_pause, redis_on_disk};
use portrait_proto::status::reason_of;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{Action, ErrorReason, Event, TrackRequest};
use portrait_store_redis::testing::{FaultPoint, Proxy, Server as Redis};
use portrait_tests::faults::{Trial, check, eventually};
use rand::RngExt;
use std::time::{Duration, Instant, SystemTime};
use tonic::Code;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_redis_with_persistence_loses_and_duplicates_nothing() {
    let mut redis = redis_on_disk();
    let mut trial = Trial::start("redis-killed-disk", &redis.url(), &[], &["feature"]);
    while let Some(mut rng) = trial.next() {
        random_pause(&mut rng, 1000).await;
        let killed = Instant::now();
        redis.kill();
        random_pause(&mut rng, 300).await;
        tokio::task::block_in_place(|| redis.restart());
        let took = trial.await_progress(killed).await;
        trial.plan.record_duration(took);
        trial.compare().await;
    }
    trial.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lost_replies_of_commits_and_appends_duplicate_nothing() {
    /// Lost replies per cycle.
    const LOST: u32 = 20;
    let redis = redis_on_disk();
    let proxy = Proxy::to(redis.port()).await;
    let mut trial = Trial::start("reply-lost", &proxy.url(), &[], &["feature", "ingest"]);
    while let Some(mut rng) = trial.next() {
        let started = Instant::now();
        for _ in 0..LOST {
            proxy.lose_reply_to(if rng.random_bool(0.5) { FaultPoint::Append } else { FaultPoint::Commit });
            random_pause(&mut rng, 50).await;
        }
        eventually("all replies are lost", async || proxy.replies_to_lose() == 0).await;
        let took = trial.await_progress(started).await;
        trial.plan.record_duration(took);
        trial.compare().await;
    }
    trial.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_redis_refuses_new_events_applies_accepted_ones_and_recovers_with_memory() {
    let redis = redis_on_disk();
    let mut trial = Trial::start("redis-full", &redis.url(), &[], &["feature"]);
    while let Some(mut rng) = trial.next() {
        random_pause(&mut rng, 500).await;
        let refused = trial.load.oracle().counts.refused;
        redis.command::<()>("CONFIG SET maxmemory 1mb");
        eventually("events are refused", async || trial.load.oracle().counts.refused > refused + 20).await;
        let status = track_one(&trial).await.expect_err("redis is full");
        assert_eq!(
            (status.code(), reason_of(&status)),
            (Code::ResourceExhausted, Some(ErrorReason::StoreFull)),
            "{status:?}"
        );
        // Accepted records are applied even while Redis is full.
        trial.profiles().await;
        random_pause(&mut rng, 1000).await;
        let raised = Instant::now();
        redis.command::<()>("CONFIG SET maxmemory 0");
        let took = trial.await_progress(raised).await;
        trial.plan.record_duration(took);
        trial.compare().await;
    }
    trial.finish().await;
}

/// Sends an event of a user outside the load.
async fn track_one(trial: &Trial) -> Result<(), tonic::Status> {
    let event = Event {
        event_id: "one".to_owned(),
        user_id: "unknown-user".to_owned(),
        action: Action::View.into(),
        occurred_at: Some(SystemTime::now().into()),
        ..Default::default()
    };
    let request = TrackRequest { events: vec![event], backfill: false };
    IngestServiceClient::new(trial.cluster.connect().await).track(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_with_snapshots_loses_only_writes_after_the_snapshot_and_duplicates_nothing() {
    let redis = tokio::task::block_in_place(|| Redis::start(&[]));
    let (ran, lost) = check_ephemeral("redis-killed-memory", redis, |redis| redis.command("SAVE")).await;
    assert!(!ran || lost > 0, "no event was lost, so the row shows nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_redis_with_everysec_loses_at_most_two_seconds_and_duplicates_nothing() {
    /// Maximum age of unsynced writes: one interval plus one delayed by a running sync.
    const UNSYNCED_MAX: Duration = Duration::from_secs(2);
    let settings = [("appendonly", "yes"), ("appendfsync", "everysec")];
    let redis = tokio::task::block_in_place(|| Redis::start(&settings));
    check_ephemeral("redis-killed-everysec", redis, |_| std::thread::sleep(UNSYNCED_MAX)).await;
}

/// Row of a Redis that keeps writes before `keep` and may lose later ones. Returns true if a cycle was run, and the number of lost
/// events.
async fn check_ephemeral(row: &str, mut redis: Redis, keep: impl Fn(&Redis)) -> (bool, u64) {
    let mut trial = Trial::start(row, &redis.url(), &["ingest.acknowledge=memory"], &["feature"]);
    let ran = trial.plan.next().is_some();
    let mut lost = 0;
    while let Some(mut rng) = trial.next() {
        random_pause(&mut rng, 500).await;
        let kept = trial.load.oracle().counts.acknowledged;
        tokio::task::block_in_place(|| keep(&redis));
        random_pause(&mut rng, 1000).await;
        let killed = Instant::now();
        redis.kill();
        tokio::task::block_in_place(|| redis.restart());
        let took = trial.await_progress(killed).await;
        trial.plan.record_duration(took);

        let paused = trial.load.pause().await;
        let found = trial.profiles().await;
        let loss = paused.oracle().compare(&found);
        let after_keep = paused.oracle().counts.acknowledged - kept;
        assert!(loss.lost <= after_keep && loss.duplicated == 0, "{kept} kept: {loss:?}");
        trial.await_subscribers(&found).await;
        lost += loss.lost;
        // After resending every acknowledged event nothing may be missing or duplicated.
        paused.resend().await;
        let found = trial.profiles().await;
        let difference = paused.oracle().compare(&found);
        check(&difference);
        trial.await_subscribers(&found).await;
        let counts = paused.oracle().counts;
        paused.oracle().forget_events();
        trial.plan.record_cycle(counts, &loss);
    }
    println!("{lost} events were lost, {} partitions resynced", trial.resyncs());
    assert!(lost == 0 || trial.resyncs() > 0, "events were lost but no subscriber received a resync");
    trial.finish().await;
    (ran, lost)
}

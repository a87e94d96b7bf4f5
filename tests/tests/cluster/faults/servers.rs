//! The one server of the store is lost, forgets, loses answers, or has no memory left; the processes of Portrait stay, and go on by
//! themselves.

use super::{pause, redis_on_disk};
use portrait_proto::status::reason_of;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{Action, ErrorReason, Event, TrackRequest};
use portrait_store_redis::testing::{Proxy, Server as Redis, FaultPoint};
use portrait_tests::faults::{Trial, check, eventually};
use rand::RngExt;
use std::time::{Duration, Instant, SystemTime};
use tonic::Code;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_server_that_keeps_its_disk_loses_and_doubles_nothing() {
    let mut redis = redis_on_disk();
    let mut trial = Trial::begin("redis-killed-disk", &redis.url(), &[], &["feature"]);
    while let Some(mut chance) = trial.next() {
        pause(&mut chance, 1000).await;
        let killed = Instant::now();
        redis.kill();
        pause(&mut chance, 300).await;
        tokio::task::block_in_place(|| redis.restart());
        let took = trial.everything_moves(killed).await;
        trial.plan.took(took);
        trial.compare().await;
    }
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_that_are_lost_after_a_commit_or_an_append_double_nothing() {
    /// Answers that are lost in one cycle.
    const LOST: u32 = 20;
    let redis = redis_on_disk();
    let proxy = Proxy::to(redis.port()).await;
    let mut trial = Trial::begin("answer-lost", &proxy.url(), &[], &["feature", "ingest"]);
    while let Some(mut chance) = trial.next() {
        let begun = Instant::now();
        for _ in 0..LOST {
            proxy.lose_reply_to(if chance.random_bool(0.5) { FaultPoint::Append } else { FaultPoint::Commit });
            pause(&mut chance, 50).await;
        }
        eventually("as many answers get lost", async || proxy.replies_to_lose() == 0).await;
        let took = trial.everything_moves(begun).await;
        trial.plan.took(took);
        trial.compare().await;
    }
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_server_refuses_what_comes_applies_what_came_and_goes_on_when_there_is_room() {
    let redis = redis_on_disk();
    let mut trial = Trial::begin("redis-full", &redis.url(), &[], &["feature"]);
    while let Some(mut chance) = trial.next() {
        pause(&mut chance, 500).await;
        let refused = trial.load.oracle().counts.refused;
        redis.command::<()>("CONFIG SET maxmemory 1mb");
        eventually("events are refused", async || trial.load.oracle().counts.refused > refused + 20).await;
        let status = track_one(&trial).await.expect_err("there is no room");
        assert_eq!(
            (status.code(), reason_of(&status)),
            (Code::ResourceExhausted, Some(ErrorReason::StoreFull)),
            "{status:?}"
        );
        // What was accepted drains, however full it is.
        trial.profiles().await;
        pause(&mut chance, 1000).await;
        let raised = Instant::now();
        redis.command::<()>("CONFIG SET maxmemory 0");
        let took = trial.everything_moves(raised).await;
        trial.plan.took(took);
        trial.compare().await;
    }
    trial.end().await;
}

/// Sends an event of nobody whom the load knows.
async fn track_one(trial: &Trial) -> Result<(), tonic::Status> {
    let event = Event {
        event_id: "one".to_owned(),
        user_id: "nobody".to_owned(),
        action: Action::View.into(),
        occurred_at: Some(SystemTime::now().into()),
        ..Default::default()
    };
    let request = TrackRequest { events: vec![event], backfill: false };
    IngestServiceClient::new(trial.cluster.connect().await).track(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_forgets_loses_only_what_came_after_its_file_and_doubles_nothing() {
    let redis = tokio::task::block_in_place(|| Redis::start(&[]));
    let (ran, lost) = forgets("redis-killed-memory", redis, |redis| redis.command("SAVE")).await;
    assert!(!ran || lost > 0, "nothing was forgotten, and so nothing is shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_server_that_writes_every_second_loses_no_more_than_two_of_them_and_doubles_nothing() {
    /// How long a write may wait while the one before it is on its way to the disk.
    const UNWRITTEN: Duration = Duration::from_secs(2);
    let settings = [("appendonly", "yes"), ("appendfsync", "everysec")];
    let redis = tokio::task::block_in_place(|| Redis::start(&settings));
    forgets("redis-killed-everysec", redis, |_| std::thread::sleep(UNWRITTEN)).await;
}

/// A row of a server that has what was acknowledged before `keep`, and may forget what came later. Whether a cycle was run, and how
/// much was forgotten.
async fn forgets(row: &str, mut redis: Redis, keep: impl Fn(&Redis)) -> (bool, u64) {
    let mut trial = Trial::begin(row, &redis.url(), &["ingest.acknowledge=memory"], &["feature"]);
    let ran = trial.plan.next().is_some();
    let mut lost = 0;
    while let Some(mut chance) = trial.next() {
        pause(&mut chance, 500).await;
        let kept = trial.load.oracle().counts.acknowledged;
        tokio::task::block_in_place(|| keep(&redis));
        pause(&mut chance, 1000).await;
        let killed = Instant::now();
        redis.kill();
        tokio::task::block_in_place(|| redis.restart());
        let took = trial.everything_moves(killed).await;
        trial.plan.took(took);

        let quiet = trial.load.pause().await;
        let found = trial.profiles().await;
        let forgotten = quiet.oracle().compare(&found);
        let after_the_file = quiet.oracle().counts.acknowledged - kept;
        assert!(forgotten.lost <= after_the_file && forgotten.duplicated == 0, "{kept} kept: {forgotten:?}");
        trial.describe(&found).await;
        lost += forgotten.lost;
        // What is left is what was acknowledged and nothing else: with all of it once more nothing is missing, nor there twice.
        quiet.resend().await;
        let found = trial.profiles().await;
        let difference = quiet.oracle().compare(&found);
        check(&difference);
        trial.describe(&found).await;
        let tally = quiet.oracle().counts;
        quiet.oracle().forget_events();
        trial.plan.cycle_done(tally, &forgotten);
    }
    println!("{lost} events were forgotten, {} partitions told anew", trial.resyncs());
    assert!(lost == 0 || trial.resyncs() > 0, "a subscriber was not told");
    trial.end().await;
    (ran, lost)
}

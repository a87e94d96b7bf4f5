//! Failures of Redis: unreachable, demoted to a replica, or configured in a way that loses data. Each is reported with a status or a
//! message with the remedy, and the deployment recovers without manual steps.

use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{Action, Event, GetProfileRequest, TrackRequest};
use portrait_store_redis::testing::Server as Redis;
use portrait_tests::{Cluster, Server, portrait_command, wait_until};
use std::time::{Duration, Instant, SystemTime};
use tonic::{Code, Status};

/// Settings of a Redis server.
type Settings = &'static [(&'static str, &'static str)];

pub(super) const DURABLE: [(&str, &str); 2] = [("appendonly", "yes"), ("appendfsync", "always")];

fn event(number: usize) -> Event {
    Event {
        event_id: format!("e{number}"),
        user_id: "lena".to_owned(),
        action: Action::View.into(),
        occurred_at: Some(SystemTime::now().into()),
        ..Default::default()
    }
}

/// Sends one event; returns its consistency token.
pub(super) async fn track(cluster: &Cluster, number: usize) -> Result<Vec<u8>, Status> {
    let mut ingest = IngestServiceClient::new(cluster.connect().await);
    let mut request = tonic::Request::new(TrackRequest { events: vec![event(number)], ..Default::default() });
    request.set_timeout(Duration::from_secs(5));
    ingest.track(request).await.map(|response| response.into_inner().consistency_token)
}

/// Number of applied events of the profile, read after the token.
pub(super) async fn applied(cluster: &Cluster, read_after: Vec<u8>) -> Result<u64, Status> {
    let mut query = QueryServiceClient::new(cluster.connect().await);
    let request = GetProfileRequest { user_id: "lena".to_owned(), read_after, ..Default::default() };
    let mut request = tonic::Request::new(request);
    request.set_timeout(Duration::from_secs(5));
    let profile = query.get_profile(request).await?.into_inner().profile;
    Ok(profile.map_or(0, |profile| profile.applied_events))
}

/// Sends the same event until it is accepted, so that it counts once.
async fn track_until_accepted(cluster: &Cluster, number: usize) -> Vec<u8> {
    let mut token = Vec::new();
    wait_until("the event is accepted", async || match track(cluster, number).await {
        Ok(accepted) => {
            token = accepted;
            true
        }
        Err(_) => false,
    })
    .await;
    token
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deployment_recovers_without_loss_after_redis_returns() {
    let mut redis = Redis::start(&DURABLE);
    let cluster = Cluster::start(
        &redis.url(),
        &["store.partitions=4", "feature.lease_ttl=2s", "feature.lease_renewal=500ms"],
    );
    let token = track_until_accepted(&cluster, 0).await;
    assert_eq!(applied(&cluster, token).await.expect("a count"), 1);
    // A short absence, and one that outlasts leases, timeouts and every retry pause.
    for (round, absence_secs) in [(1, 0), (2, 0), (3, 30)] {
        redis.kill();
        let stopped = Instant::now();
        loop {
            let refused = track(&cluster, round).await.expect_err("redis is down");
            assert!(matches!(refused.code(), Code::Unavailable | Code::DeadlineExceeded), "{refused:?}");
            let refused = applied(&cluster, Vec::new()).await.expect_err("redis is down");
            assert!(matches!(refused.code(), Code::Unavailable | Code::DeadlineExceeded), "{refused:?}");
            if stopped.elapsed() >= Duration::from_secs(absence_secs) {
                break;
            }
        }
        redis.restart();
        let token = track_until_accepted(&cluster, round).await;
        let mut found = 0;
        wait_until("the event is in the profile", async || match applied(&cluster, token.clone()).await {
            Ok(count) => {
                found = count;
                true
            }
            Err(_) => false,
        })
        .await;
        assert_eq!(found, round as u64 + 1, "a retried event counts once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_demoted_to_a_replica_is_unavailable_until_it_is_promoted() {
    let (redis, other) = (Redis::start(&DURABLE), Redis::start(&DURABLE));
    let cluster = Cluster::start(&redis.url(), &["store.partitions=4"]);
    let token = track_until_accepted(&cluster, 0).await;
    assert_eq!(applied(&cluster, token).await.expect("a count"), 1);
    // The replica refuses writes and keeps its data, because no primary listens at that port.
    let unused_port = other.port();
    drop(other);
    redis.command::<String>(&format!("REPLICAOF 127.0.0.1 {unused_port}"));
    let refused = track(&cluster, 1).await.expect_err("a replica is read-only");
    assert!(matches!(refused.code(), Code::Unavailable | Code::DeadlineExceeded), "{refused:?}");
    redis.command::<String>("REPLICAOF NO ONE");
    let token = track_until_accepted(&cluster, 1).await;
    wait_until("the event is in the profile", async || {
        applied(&cluster, token.clone()).await.is_ok_and(|count| count == 2)
    })
    .await;
}

#[test]
fn a_redis_configuration_that_loses_data_is_refused_at_startup_with_setting_and_remedy() {
    let refusals: [(Settings, &[&str], &[&str]); 3] = [
        (&[("appendonly", "no")], &[], &["appendonly", "ingest.acknowledge"]),
        (
            &[("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "allkeys-lru")],
            &[],
            &["maxmemory-policy", "noeviction"],
        ),
        (&DURABLE, &["--set", "ingest.acknowledge=replica"], &["replica"]),
    ];
    for (settings, flags, words) in refusals {
        let redis = Redis::start(settings);
        let message = Server::try_start_role("all", &redis.url(), flags).err().expect("a refusal");
        assert!(words.iter().all(|word| message.contains(word)), "{words:?} in {message}");
        // store.accept_unsafe overrides the check.
        let unsafe_flags = [flags, &["--set", "store.accept_unsafe=true"]].concat();
        if flags.is_empty() {
            let started = Server::try_start_role("all", &redis.url(), &unsafe_flags);
            assert!(started.is_ok(), "{:?}", started.err());
        }
    }
}

#[test]
fn a_store_with_other_partitions_or_without_a_server_is_refused_with_the_remedy() {
    let mut redis = Redis::start(&DURABLE);
    drop(Server::try_start_role("all", &redis.url(), &["--set", "store.partitions=4"]).expect("a new store"));
    let message = Server::try_start_role("all", &redis.url(), &["--set", "store.partitions=8"]).err();
    let message = message.expect("the store has 4 partitions");
    assert!(message.contains("4 partitions") && message.contains("store.partitions"), "{message}");
    let url = redis.url();
    redis.kill();
    let message = Server::try_start_role("all", &url, &[]).err().expect("no server responds");
    assert!(message.contains("the store does not answer"), "{message}");
}

/// Runs `portrait doctor`; returns its output and its success.
fn doctor(store: &str, address: &str) -> (String, bool) {
    let arguments = ["doctor", "--store", store, "--to", address];
    let output = portrait_command().args(arguments).output().expect("the binary under test is built");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_reports_problems_with_remedies() {
    let mut redis = Redis::start(&DURABLE);
    let (message, _) = doctor(&redis.url(), "http://127.0.0.1:9");
    assert!(message.contains("no store under the prefix portrait yet"), "{message}");
    assert_eq!(redis.command::<u64>("DBSIZE"), 0, "a look creates nothing");
    let settings = ["store.partitions=4", "feature.lease_ttl=500ms", "feature.lease_renewal=100ms"];
    let mut cluster = Cluster::start(&redis.url(), &settings);
    cluster.add("feature");
    track_until_accepted(&cluster, 0).await;
    let mut message = String::new();
    wait_until("the doctor finds no problem", async || {
        let (found, success) = doctor(&redis.url(), &cluster.address());
        message = found;
        success
    })
    .await;
    for part in ["on Redis, 4 partitions", "2 feature workers", "4 partitions: ", "0 records not applied yet"]
    {
        assert!(message.contains(part), "{part:?} is missing in\n{message}");
    }
    // One live worker takes over the partitions of a dead one, so both are killed.
    let address = cluster.address();
    cluster.take("feature").kill();
    cluster.take("feature").kill();
    let (message, success) = doctor(&redis.url(), &address);
    assert!(!success && message.contains("start `portrait serve feature`"), "{message}");
    redis.kill();
    let (message, success) = doctor(&redis.url(), &address);
    assert!(!success && message.contains("the store does not answer"), "{message}");
}

//! What an operator meets who runs Redis: it is away, comes back, follows another server, or is set up in a way that loses data.
//! Each is answered with a status or a message that says what to do, and when it is over nobody has to lend a hand.

use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{Action, Event, GetProfileRequest, TrackRequest};
use portrait_store_redis::testing::Server as Redis;
use portrait_tests::{Cluster, Server, portrait_command, until};
use std::time::{Duration, Instant, SystemTime};
use tonic::{Code, Status};

/// What a Redis is started with.
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

/// Sends one event, and gives the token that reads it.
pub(super) async fn track(cluster: &Cluster, number: usize) -> Result<Vec<u8>, Status> {
    let mut ingest = IngestServiceClient::new(cluster.connect().await);
    let mut request = tonic::Request::new(TrackRequest { events: vec![event(number)], ..Default::default() });
    request.set_timeout(Duration::from_secs(5));
    ingest.track(request).await.map(|answer| answer.into_inner().consistency_token)
}

/// How many events the profile has, with those of the token.
pub(super) async fn applied(cluster: &Cluster, read_after: Vec<u8>) -> Result<u64, Status> {
    let mut query = QueryServiceClient::new(cluster.connect().await);
    let request = GetProfileRequest { user_id: "lena".to_owned(), read_after, ..Default::default() };
    let mut request = tonic::Request::new(request);
    request.set_timeout(Duration::from_secs(5));
    let profile = query.get_profile(request).await?.into_inner().profile;
    Ok(profile.map_or(0, |profile| profile.applied_events))
}

/// Sends an event until it is taken; the same one, so that it counts once however often it is sent.
async fn track_until_taken(cluster: &Cluster, number: usize) -> Vec<u8> {
    let mut token = Vec::new();
    until("the event is taken", async || match track(cluster, number).await {
        Ok(taken) => {
            token = taken;
            true
        }
        Err(_) => false,
    })
    .await;
    token
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_gone_and_comes_back_loses_nothing_and_needs_no_hand() {
    let mut redis = Redis::start(&DURABLE);
    let cluster = Cluster::start(
        &redis.url(),
        &["store.partitions=4", "feature.lease_ttl=2s", "feature.lease_renewal=500ms"],
    );
    let token = track_until_taken(&cluster, 0).await;
    assert_eq!(applied(&cluster, token).await.expect("it answers"), 1);
    // For a moment, and for so long that leases, patience and every pause between two attempts are over.
    for (round, absence_secs) in [(1, 0), (2, 0), (3, 30)] {
        redis.kill();
        let gone = Instant::now();
        loop {
            let refused = track(&cluster, round).await.expect_err("nobody can take it");
            assert!(matches!(refused.code(), Code::Unavailable | Code::DeadlineExceeded), "{refused:?}");
            let refused = applied(&cluster, Vec::new()).await.expect_err("nobody can read it");
            assert!(matches!(refused.code(), Code::Unavailable | Code::DeadlineExceeded), "{refused:?}");
            if gone.elapsed() >= Duration::from_secs(absence_secs) {
                break;
            }
        }
        redis.restart();
        let token = track_until_taken(&cluster, round).await;
        let mut found = 0;
        until("it is in the profile", async || match applied(&cluster, token.clone()).await {
            Ok(count) => {
                found = count;
                true
            }
            Err(_) => false,
        })
        .await;
        assert_eq!(found, round as u64 + 1, "what was not acknowledged and sent again counts once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_became_a_replica_is_unavailable_until_it_is_none() {
    let (redis, other) = (Redis::start(&DURABLE), Redis::start(&DURABLE));
    let cluster = Cluster::start(&redis.url(), &["store.partitions=4"]);
    let token = track_until_taken(&cluster, 0).await;
    assert_eq!(applied(&cluster, token).await.expect("it answers"), 1);
    // It refuses writes, and keeps its data since there is nobody at that port.
    let nowhere = other.port();
    drop(other);
    redis.command::<String>(&format!("REPLICAOF 127.0.0.1 {nowhere}"));
    let refused = track(&cluster, 1).await.expect_err("it takes no writes");
    assert!(matches!(refused.code(), Code::Unavailable | Code::DeadlineExceeded), "{refused:?}");
    redis.command::<String>("REPLICAOF NO ONE");
    let token = track_until_taken(&cluster, 1).await;
    until("it is in the profile", async || {
        applied(&cluster, token.clone()).await.is_ok_and(|count| count == 2)
    })
    .await;
}

#[test]
fn a_store_that_would_lose_data_is_refused_at_the_start_with_the_setting_and_the_remedy() {
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
        let said = Server::try_start_role("all", &redis.url(), flags).err().expect("it is refused");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
        // Whoever knows what it means can go on.
        let unsafe_flags = [flags, &["--set", "store.accept_unsafe=true"]].concat();
        if flags.is_empty() {
            let started = Server::try_start_role("all", &redis.url(), &unsafe_flags);
            assert!(started.is_ok(), "{:?}", started.err());
        }
    }
}

#[test]
fn a_store_of_another_number_of_partitions_or_that_nobody_answers_for_is_refused_with_the_remedy() {
    let mut redis = Redis::start(&DURABLE);
    drop(Server::try_start_role("all", &redis.url(), &["--set", "store.partitions=4"]).expect("a new store"));
    let said = Server::try_start_role("all", &redis.url(), &["--set", "store.partitions=8"]).err();
    let said = said.expect("it has 4");
    assert!(said.contains("4 partitions") && said.contains("store.partitions"), "{said}");
    let url = redis.url();
    redis.kill();
    let said = Server::try_start_role("all", &url, &[]).err().expect("nobody answers");
    assert!(said.contains("the store does not answer"), "{said}");
}

/// What the doctor printed, and whether all was well.
fn doctor(store: &str, address: &str) -> (String, bool) {
    let arguments = ["doctor", "--store", store, "--to", address];
    let output = portrait_command().args(arguments).output().expect("the binary under test is built");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_what_is_ill_and_says_what_to_do() {
    let mut redis = Redis::start(&DURABLE);
    let settings = ["store.partitions=4", "feature.lease_ttl=500ms", "feature.lease_renewal=100ms"];
    let mut cluster = Cluster::start(&redis.url(), &settings);
    cluster.add("feature");
    track_until_taken(&cluster, 0).await;
    let mut said = String::new();
    until("all is well", async || {
        let (found, well) = doctor(&redis.url(), &cluster.address());
        said = found;
        well
    })
    .await;
    for part in ["on Redis, 4 partitions", "2 feature workers", "4 partitions: ", "0 records not applied yet"]
    {
        assert!(said.contains(part), "{part:?} is missing in\n{said}");
    }
    // One that is there answers for the partitions that its dead neighbour has owned; both dead, nobody does.
    let address = cluster.address();
    cluster.take("feature").kill();
    cluster.take("feature").kill();
    let (said, well) = doctor(&redis.url(), &address);
    assert!(!well && said.contains("start `portrait serve feature`"), "{said}");
    redis.kill();
    let (said, well) = doctor(&redis.url(), &address);
    assert!(!well && said.contains("the store does not answer"), "{said}");
}

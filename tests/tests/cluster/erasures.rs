//! Erasure of a user over gRPC and at the command line: state of the receipt, effect on reads and subscriptions, and no trace of the
//! user id in the files at the end. With an embedded store and with a Redis deployment.

use portrait_client::RoleRouter;
use portrait_profile::{TimeDelta, UserId};
use portrait_proto::status::reason_of;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{
    Action, EraseRequest, EraseResponse, ErasureState, ErrorReason, Event, GetErasureRequest,
    GetErasureResponse, GetProfileRequest, Profile, ProfileChange, RelateRequest, Relation, RelationKind,
    TrackRequest, WatchProfileChangesRequest, WatchStart,
};
use portrait_store_embedded::{Embedded, EmbeddedOptions};
use portrait_store_redis::testing::Server as Redis;
use portrait_tests::faults::differing_from_log;
use portrait_tests::{
    Cluster, Server, TEST_TIMEOUT, connect, next_millisecond, portrait_command, wait_until,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::path::Path;
use std::time::{Duration, SystemTime};
use tonic::{Code, Status};

/// Retention short enough that log and feed are trimmed within a test.
const SHORT_RETENTION: [&str; 5] = [
    "feature.log_retention=1s",
    "feature.feed_retention=1s",
    "feature.trim_interval=200ms",
    "feature.rewrite_interval=1s",
    "model.automatic=false",
];
/// Unique user id that is easy to find in files.
const LENA: &str = "lena-Jq8vZ2mXw5KcR1yT";

/// Client of a deployment.
#[derive(Clone)]
struct Client {
    channel: RoleRouter,
}

impl Client {
    async fn at(url: &str) -> Self {
        Self { channel: connect(url).await }
    }

    fn ingest(&self) -> IngestServiceClient<RoleRouter> {
        IngestServiceClient::new(self.channel.clone())
    }

    async fn view(&self, user_id: &str, event_id: &str, at: SystemTime) -> Vec<u8> {
        let event = Event {
            event_id: event_id.to_owned(),
            user_id: user_id.to_owned(),
            action: Action::View.into(),
            occurred_at: Some(at.into()),
            ..Default::default()
        };
        let request = TrackRequest { events: vec![event], ..Default::default() };
        let response = self.ingest().track(request).await.expect("a response").into_inner();
        assert_eq!(response.accepted, 1, "{:?}", response.rejected);
        response.consistency_token
    }

    async fn befriend(&self, user_id: &str, other: &str, event_id: &str, at: SystemTime) -> Vec<u8> {
        let relation = Relation {
            source: String::new(),
            event_id: event_id.to_owned(),
            user_id: user_id.to_owned(),
            other_user_id: other.to_owned(),
            kind: RelationKind::Friend.into(),
            weight: 1.0,
            occurred_at: Some(at.into()),
        };
        let response =
            self.ingest().relate(RelateRequest { relations: vec![relation] }).await.expect("a response");
        response.into_inner().consistency_token
    }

    async fn erase(&self, user_id: &str, event_id: &str) -> EraseResponse {
        let request = EraseRequest { user_id: user_id.to_owned(), event_id: event_id.to_owned() };
        self.ingest().erase(request).await.expect("it is logged").into_inner()
    }

    async fn erasure(&self, receipt: &[u8]) -> Result<GetErasureResponse, Status> {
        let request = GetErasureRequest { receipt: receipt.to_vec() };
        self.ingest().get_erasure(request).await.map(tonic::Response::into_inner)
    }

    async fn wait_for_state(&self, state: ErasureState, receipt: &[u8]) {
        wait_until("the erasure reaches the state", async || {
            self.erasure(receipt).await.expect("a receipt").state() as i32 >= state as i32
        })
        .await;
    }

    async fn profile(&self, user_id: &str, read_after: &[u8]) -> Result<Profile, Status> {
        let request = GetProfileRequest {
            user_id: user_id.to_owned(),
            read_after: read_after.to_vec(),
            ..Default::default()
        };
        let response = QueryServiceClient::new(self.channel.clone()).get_profile(request).await?;
        Ok(response.into_inner().profile.expect("a profile"))
    }

    /// Changes of a user from a new subscription, until `enough` holds.
    async fn changes_until(
        &self,
        start: WatchStart,
        user_id: &str,
        enough: impl Fn(&[ProfileChange]) -> bool,
    ) -> Vec<ProfileChange> {
        let request = WatchProfileChangesRequest {
            start: start.into(),
            user_ids: vec![user_id.to_owned()],
            include_profile: true,
            ..Default::default()
        };
        let responses = QueryServiceClient::new(self.channel.clone()).watch_profile_changes(request).await;
        let mut responses = responses.expect("a subscription").into_inner();
        let mut changes = Vec::new();
        while !enough(&changes) {
            let response = tokio::time::timeout(TEST_TIMEOUT, responses.message())
                .await
                .expect("the subscription stays open");
            if let Some(Kind::Change(change)) =
                response.expect("the subscription stays open").and_then(|response| response.kind)
            {
                changes.push(change);
            }
        }
        changes
    }
}

/// Erases a user, checks that the erasure holds, and lets the user return.
async fn check_erasure_and_return(client: &Client) {
    let before = SystemTime::now();
    client.view(LENA, "1", before).await;
    client.befriend("omar", LENA, "f1", before).await;
    let token = client.befriend("omar", "mia", "f2", before).await;
    assert_eq!(
        client.profile("omar", &token).await.expect("a profile").social.expect("edges").edges.len(),
        2
    );
    let erased = client.erase(LENA, "goodbye").await;
    let gone = client.profile(LENA, &erased.consistency_token).await.expect_err("the profile is erased");
    assert_eq!((gone.code(), reason_of(&gone)), (Code::NotFound, Some(ErrorReason::UserNotFound)));
    client.wait_for_state(ErasureState::Applied, &erased.receipt).await;
    let edges = client.profile("omar", &[]).await.expect("a profile").social.expect("edges").edges;
    assert_eq!(edges.iter().map(|edge| &*edge.user_id).collect::<Vec<_>>(), ["mia"]);

    // Events before the erasure stay out even if they arrive later; later events start a new profile.
    client.view(LENA, "late", before).await;
    let late = client.befriend("omar", LENA, "late", before).await;
    assert_eq!(client.profile("omar", &late).await.expect("a profile").social.expect("edges").edges.len(), 1);
    next_millisecond().await;
    let token = client.view(LENA, "2", SystemTime::now()).await;
    let profile = client.profile(LENA, &token).await.expect("the user returned");
    assert_eq!((profile.applied_events, profile.version), (1, 3));
    let token = client.befriend("omar", LENA, "f3", SystemTime::now()).await;
    assert_eq!(
        client.profile("omar", &token).await.expect("a profile").social.expect("edges").edges.len(),
        2
    );

    // Subscribers receive the deletion although the user returned; a snapshot has only the new profile.
    let changes = client
        .changes_until(WatchStart::Earliest, LENA, |changes| {
            changes.last().is_some_and(|last| last.version == 3 && !last.deleted && changes.len() > 1)
        })
        .await;
    let deletion = changes.iter().find(|change| change.deleted).expect("a deletion");
    assert_eq!((deletion.version, deletion.profile.is_none()), (2, true));
    let changes = client.changes_until(WatchStart::Snapshot, LENA, |changes| !changes.is_empty()).await;
    assert_eq!((changes[0].version, changes[0].deleted), (3, false));
    // Resent with the same id it is the same erasure: later events are kept.
    let repeated = client.erase(LENA, "goodbye").await;
    client.wait_for_state(ErasureState::Applied, &repeated.receipt).await;
    assert!(client.profile(LENA, &repeated.consistency_token).await.is_ok());
}

/// Checks that invalid receipts and requests are refused with the remedy.
async fn check_invalid_receipts(client: &Client, foreign: &[u8]) {
    let valid = client.erase("unknown-user", "").await.receipt;
    let mut changed = valid.clone();
    changed[20] ^= 1;
    for wrong in [&[][..], b"receipt", &valid[..valid.len() - 1], &changed, foreign] {
        let status = client.erasure(wrong).await.expect_err("an invalid receipt");
        assert_eq!((status.code(), reason_of(&status)), (Code::InvalidArgument, Some(ErrorReason::BadToken)));
        assert!(status.message().contains("pass the receipt of Erase unchanged"), "{}", status.message());
    }
    for (user, id, field) in [("", "", "user_id"), ("lena", " x", "event_id")] {
        let request = EraseRequest { user_id: user.to_owned(), event_id: id.to_owned() };
        let status = client.ingest().erase(request).await.expect_err("an invalid request");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(format!("{:?}", tonic_types::StatusExt::get_details_bad_request(&status)).contains(field));
    }
}

/// True if any file below `folder` contains the name.
fn is_on_disk(folder: &Path, name: &str) -> bool {
    std::fs::read_dir(folder).expect("a temporary folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return is_on_disk(&path, name);
        }
        // A file may be replaced by the server between listing and reading.
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(name.len()).any(|window| window == name.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_erased_from_the_files_of_an_embedded_store() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let other = Server::start(&folder.path().join("other"), &[]);
    let foreign = Client::at(other.grpc_url()).await.erase("lena", "").await.receipt;
    drop(other);
    let arguments: Vec<&str> = SHORT_RETENTION.iter().flat_map(|setting| ["--set", setting]).collect();
    let server = Server::start(&data, &arguments[6..]);
    let client = Client::at(server.grpc_url()).await;
    check_erasure_and_return(&client).await;
    check_invalid_receipts(&client, &foreign).await;
    // A restart with short retention, so that the erasure completes within the test.
    assert!(server.stop().success());
    let server = Server::start(&data, &arguments);
    let client = Client::at(server.grpc_url()).await;
    let erased = client.erase(LENA, "permanently").await;
    assert!(is_on_disk(&data, LENA));
    client.wait_for_state(ErasureState::Complete, &erased.receipt).await;
    let state = client.erasure(&erased.receipt).await.expect("a receipt");
    assert_eq!((state.partitions, state.cleared_partitions, &*state.waiting_for), (16, 16, ""));
    assert!(!is_on_disk(&data, LENA), "the files still contain the user id");
    assert!(server.metric_total("portrait_feature_erasures_total") > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_erased_from_the_files_of_a_redis_deployment() {
    let settings = [&SHORT_RETENTION[..], &["store.partitions=4"]].concat();
    let redis =
        tokio::task::block_in_place(|| Redis::start(&[("appendonly", "yes"), ("appendfsync", "always")]));
    let cluster = tokio::task::block_in_place(|| Cluster::start(&redis.url(), &settings[3..]));
    let client = Client { channel: cluster.connect().await };
    check_erasure_and_return(&client).await;
    drop(cluster);
    let cluster = tokio::task::block_in_place(|| Cluster::start(&redis.url(), &settings));
    let client = Client { channel: cluster.connect().await };
    let erased = client.erase(LENA, "permanently").await;
    assert!(is_on_disk(redis.folder(), LENA));
    client.wait_for_state(ErasureState::Complete, &erased.receipt).await;
    assert!(!is_on_disk(redis.folder(), LENA), "the files still contain the user id");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_erases_and_prints_the_progress() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(&folder.path().join("data"), &[]);
    let client = Client::at(server.grpc_url()).await;
    client.view(LENA, "1", SystemTime::now()).await;
    let run = |arguments: &[&str]| {
        let output =
            portrait_command().arg("erase").args(arguments).args(["--to", server.grpc_url()]).output();
        let output = output.expect("the command runs");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (success, message) = tokio::task::block_in_place(|| run(&[LENA, "--wait"]));
    assert!(success && message.contains("applied: the profile is gone"), "{message}");
    assert_eq!(client.profile(LENA, &[]).await.expect_err("gone").code(), Code::NotFound);
    let receipt = message.split_whitespace().nth(1).expect("a receipt");
    let (success, message) = tokio::task::block_in_place(|| run(&["--receipt", receipt]));
    assert!(success && message.contains("waits for the log of 16 of 16 partitions"), "{message}");
    let (success, message) = tokio::task::block_in_place(|| run(&["unknown-user"]));
    assert!(success && message.contains("state     a"), "{message}");
    let (success, message) = tokio::task::block_in_place(|| run(&["--receipt", "abcd"]));
    assert!(!success && message.contains("not a receipt of this deployment"), "{message}");
}

/// Random events, edges and erasures with random kills of the server, compared with a rebuild from the log.
#[tokio::test(flavor = "multi_thread")]
async fn random_events_and_erasures_with_kills_equal_a_rebuild_from_the_log() {
    const USERS: u32 = 12;
    const STEPS: u32 = 400;
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let mut server = Some(Server::start(&data, &["--set", "store.partitions=3"]));
    let mut client = Client::at(server.as_ref().expect("a running process").grpc_url()).await;
    for step in 0..STEPS {
        let any_user = |rng: &mut StdRng| format!("u{}", rng.random_range(0..USERS));
        let (user, other) = (any_user(&mut rng), any_user(&mut rng));
        // 30% of the events are up to 100 ms old, and some ids were sent before.
        let ago = Duration::from_millis(rng.random_range(0..100)) * u32::from(rng.random_bool(0.3));
        let at = SystemTime::now() - ago;
        let id = format!("e{}", rng.random_range(0..STEPS));
        match rng.random_range(0..10) {
            0 => drop(client.erase(&user, if rng.random_bool(0.5) { &id } else { "" }).await),
            1..=4 if user != other => drop(client.befriend(&user, &other, &id, at).await),
            _ => drop(client.view(&user, &id, at).await),
        }
        if step % 100 == 50 {
            server.take().expect("a running process").kill();
            let next = Server::start(&data, &[]);
            client = Client::at(next.grpc_url()).await;
            server = Some(next);
        }
    }
    let last = client.erase("unknown-user", "").await;
    client.wait_for_state(ErasureState::Applied, &last.receipt).await;
    assert!(server.take().expect("a running process").stop().success());
    let options = EmbeddedOptions {
        dedup_window: TimeDelta::from_hours(24),
        reserve_bytes: 0,
        ..EmbeddedOptions::default()
    };
    let store = Embedded::open(&data, options).expect("the store opens");
    let (differing, count) = differing_from_log(&store).await;
    assert!(differing.is_empty(), "{} of {count} differ: {differing:?}", differing.len());
    assert!(UserId::parse("u0").is_ok() && count > 0);
}

//! A shopper is erased, as a shop asks for it over gRPC or at the command line: what the receipt says, what readers and subscribers
//! are told, and that in the end nothing is left in the files. On a disk of one process, and on a Redis of many.

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
use portrait_tests::{Cluster, TEST_TIMEOUT, Server, connect, next_millisecond, portrait_command, until};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::path::Path;
use std::time::{Duration, SystemTime};
use tonic::{Code, Status};

/// So that the log forgets within a test.
const FORGETFUL: [&str; 5] = [
    "feature.log_retention=1s",
    "feature.feed_retention=1s",
    "feature.trim_interval=200ms",
    "feature.rewrite_interval=1s",
    "model.automatic=false",
];
/// A name that is found again in any file.
const LENA: &str = "lena-Jq8vZ2mXw5KcR1yT";

/// A shop that talks to a deployment.
#[derive(Clone)]
struct Shop {
    line: RoleRouter,
}

impl Shop {
    async fn at(url: &str) -> Self {
        Self { line: connect(url).await }
    }

    fn ingest(&self) -> IngestServiceClient<RoleRouter> {
        IngestServiceClient::new(self.line.clone())
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
        let answer = self.ingest().track(request).await.expect("an answer").into_inner();
        assert_eq!(answer.accepted, 1, "{:?}", answer.rejected);
        answer.consistency_token
    }

    async fn befriend(&self, user_id: &str, other: &str, event_id: &str, at: SystemTime) -> Vec<u8> {
        let relation = Relation {
            event_id: event_id.to_owned(),
            user_id: user_id.to_owned(),
            other_user_id: other.to_owned(),
            kind: RelationKind::Friend.into(),
            weight: 1.0,
            occurred_at: Some(at.into()),
        };
        let answer =
            self.ingest().relate(RelateRequest { relations: vec![relation] }).await.expect("an answer");
        answer.into_inner().consistency_token
    }

    async fn erase(&self, user_id: &str, event_id: &str) -> EraseResponse {
        let request = EraseRequest { user_id: user_id.to_owned(), event_id: event_id.to_owned() };
        self.ingest().erase(request).await.expect("it is logged").into_inner()
    }

    async fn erasure(&self, receipt: &[u8]) -> Result<GetErasureResponse, Status> {
        let request = GetErasureRequest { receipt: receipt.to_vec() };
        self.ingest().get_erasure(request).await.map(tonic::Response::into_inner)
    }

    async fn reaches(&self, state: ErasureState, receipt: &[u8]) {
        until("the erasure goes on", async || {
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
        let answer = QueryServiceClient::new(self.line.clone()).get_profile(request).await?;
        Ok(answer.into_inner().profile.expect("a profile"))
    }

    /// What subscribers are told of a shopper, until `enough`.
    async fn told(
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
        let answers = QueryServiceClient::new(self.line.clone()).watch_profile_changes(request).await;
        let (mut answers, mut told) = (answers.expect("a subscription").into_inner(), Vec::new());
        while !enough(&told) {
            let answer = tokio::time::timeout(TEST_TIMEOUT, answers.message()).await.expect("it goes on");
            if let Some(Kind::Change(change)) = answer.expect("it goes on").and_then(|answer| answer.kind) {
                told.push(change);
            }
        }
        told
    }
}

/// The whole of it, on any deployment.
async fn erase_and_come_back(shop: &Shop) {
    let before = SystemTime::now();
    shop.view(LENA, "1", before).await;
    shop.befriend("omar", LENA, "f1", before).await;
    let token = shop.befriend("omar", "mia", "f2", before).await;
    assert_eq!(shop.profile("omar", &token).await.expect("a profile").social.expect("edges").edges.len(), 2);
    let erased = shop.erase(LENA, "goodbye").await;
    let gone = shop.profile(LENA, &erased.consistency_token).await.expect_err("nobody is there");
    assert_eq!((gone.code(), reason_of(&gone)), (Code::NotFound, Some(ErrorReason::UserNotFound)));
    shop.reaches(ErasureState::Applied, &erased.receipt).await;
    let edges = shop.profile("omar", &[]).await.expect("a profile").social.expect("edges").edges;
    assert_eq!(edges.iter().map(|edge| &*edge.user_id).collect::<Vec<_>>(), ["mia"]);

    // What was done before stays out, however it comes; what is done since begins anew.
    shop.view(LENA, "late", before).await;
    let late = shop.befriend("omar", LENA, "late", before).await;
    assert_eq!(shop.profile("omar", &late).await.expect("a profile").social.expect("edges").edges.len(), 1);
    next_millisecond().await;
    let token = shop.view(LENA, "2", SystemTime::now()).await;
    let profile = shop.profile(LENA, &token).await.expect("the shopper came back");
    assert_eq!((profile.applied_events, profile.version), (1, 3));
    let token = shop.befriend("omar", LENA, "f3", SystemTime::now()).await;
    assert_eq!(shop.profile("omar", &token).await.expect("a profile").social.expect("edges").edges.len(), 2);

    // Subscribers hear of the deletion although the shopper is back, and a snapshot has the new profile alone.
    let told = shop
        .told(WatchStart::Earliest, LENA, |told| {
            told.last().is_some_and(|last| last.version == 3 && !last.deleted && told.len() > 1)
        })
        .await;
    let deletion = told.iter().find(|change| change.deleted).expect("it is told");
    assert_eq!((deletion.version, deletion.profile.is_none()), (2, true));
    let told = shop.told(WatchStart::Snapshot, LENA, |told| !told.is_empty()).await;
    assert_eq!((told[0].version, told[0].deleted), (3, false));
    // Sent again with its id it is the same erasure: nothing that came since goes.
    let again = shop.erase(LENA, "goodbye").await;
    shop.reaches(ErasureState::Applied, &again.receipt).await;
    assert!(shop.profile(LENA, &again.consistency_token).await.is_ok());
}

/// What is no receipt of this deployment is refused with the remedy.
async fn forge(shop: &Shop, foreign: &[u8]) {
    let given = shop.erase("nobody", "").await.receipt;
    let mut changed = given.clone();
    changed[20] ^= 1;
    for wrong in [&[][..], b"receipt", &given[..given.len() - 1], &changed, foreign] {
        let status = shop.erasure(wrong).await.expect_err("nobody gave it");
        assert_eq!((status.code(), reason_of(&status)), (Code::InvalidArgument, Some(ErrorReason::BadToken)));
        assert!(status.message().contains("pass it as Erase gave it"), "{}", status.message());
    }
    for (user, id, field) in [("", "", "user_id"), ("lena", " x", "event_id")] {
        let request = EraseRequest { user_id: user.to_owned(), event_id: id.to_owned() };
        let status = shop.ingest().erase(request).await.expect_err("it is wrong");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(format!("{:?}", tonic_types::StatusExt::get_details_bad_request(&status)).contains(field));
    }
}

/// Whether any file under `folder` has the name.
fn is_on_disk(folder: &Path, name: &str) -> bool {
    std::fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return is_on_disk(&path, name);
        }
        // One that has just been replaced is gone.
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(name.len()).any(|window| window == name.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_is_erased_from_a_store_on_disk_down_to_its_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let other = Server::start(&folder.path().join("other"), &[]);
    let foreign = Shop::at(other.grpc_url()).await.erase("lena", "").await.receipt;
    drop(other);
    let arguments: Vec<&str> = FORGETFUL.iter().flat_map(|setting| ["--set", setting]).collect();
    let server = Server::start(&data, &arguments[6..]);
    let shop = Shop::at(server.grpc_url()).await;
    erase_and_come_back(&shop).await;
    forge(&shop, &foreign).await;
    // The last of it, with a log that forgets.
    assert!(server.stop().success());
    let server = Server::start(&data, &arguments);
    let shop = Shop::at(server.grpc_url()).await;
    let erased = shop.erase(LENA, "for good").await;
    assert!(is_on_disk(&data, LENA));
    shop.reaches(ErasureState::Complete, &erased.receipt).await;
    let state = shop.erasure(&erased.receipt).await.expect("a receipt");
    assert_eq!((state.partitions, state.cleared_partitions, &*state.waiting_for), (16, 16, ""));
    assert!(!is_on_disk(&data, LENA), "nothing is left");
    assert!(server.counted("portrait_feature_erasures_total") > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_is_erased_from_a_deployment_on_redis_down_to_its_files() {
    let settings = [&FORGETFUL[..], &["store.partitions=4"]].concat();
    let redis =
        tokio::task::block_in_place(|| Redis::start(&[("appendonly", "yes"), ("appendfsync", "always")]));
    let cluster = tokio::task::block_in_place(|| Cluster::start(&redis.url(), &settings[3..]));
    let shop = Shop { line: cluster.connect().await };
    erase_and_come_back(&shop).await;
    drop(cluster);
    let cluster = tokio::task::block_in_place(|| Cluster::start(&redis.url(), &settings));
    let shop = Shop { line: cluster.connect().await };
    let erased = shop.erase(LENA, "for good").await;
    assert!(is_on_disk(redis.folder(), LENA));
    shop.reaches(ErasureState::Complete, &erased.receipt).await;
    assert!(!is_on_disk(redis.folder(), LENA), "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_erases_and_tells_how_far_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("data"), &[]);
    let shop = Shop::at(server.grpc_url()).await;
    shop.view(LENA, "1", SystemTime::now()).await;
    let run = |arguments: &[&str]| {
        let output =
            portrait_command().arg("erase").args(arguments).args(["--to", server.grpc_url()]).output();
        let output = output.expect("the command runs");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (success, said) = tokio::task::block_in_place(|| run(&[LENA, "--wait"]));
    assert!(success && said.contains("applied: the profile is gone"), "{said}");
    assert_eq!(shop.profile(LENA, &[]).await.expect_err("gone").code(), Code::NotFound);
    let receipt = said.split_whitespace().nth(1).expect("a receipt");
    let (success, said) = tokio::task::block_in_place(|| run(&["--receipt", receipt]));
    assert!(success && said.contains("waits for the log of 16 of 16 partitions"), "{said}");
    let (success, said) = tokio::task::block_in_place(|| run(&["nobody"]));
    assert!(success && said.contains("state     a"), "{said}");
    let (success, said) = tokio::task::block_in_place(|| run(&["--receipt", "abcd"]));
    assert!(!success && said.contains("not a receipt of this deployment"), "{said}");
}

/// Everything at random, with a server that is killed now and then: the log alone gives the same profiles.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_and_erased_in_whatever_order_is_what_the_log_gives() {
    const USERS: u32 = 12;
    const STEPS: u32 = 400;
    let seed = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut server = Some(Server::start(&data, &["--set", "store.partitions=3"]));
    let mut shop = Shop::at(server.as_ref().expect("it runs").grpc_url()).await;
    for step in 0..STEPS {
        let anybody = |chance: &mut StdRng| format!("u{}", chance.random_range(0..USERS));
        let (user, other) = (anybody(&mut chance), anybody(&mut chance));
        // Some of what is told is of minutes ago, and some has an id that was sent before.
        let ago = Duration::from_millis(chance.random_range(0..100)) * u32::from(chance.random_bool(0.3));
        let at = SystemTime::now() - ago;
        let id = format!("e{}", chance.random_range(0..STEPS));
        match chance.random_range(0..10) {
            0 => drop(shop.erase(&user, if chance.random_bool(0.5) { &id } else { "" }).await),
            1..=4 if user != other => drop(shop.befriend(&user, &other, &id, at).await),
            _ => drop(shop.view(&user, &id, at).await),
        }
        if step % 100 == 50 {
            server.take().expect("it runs").kill();
            let next = Server::start(&data, &[]);
            shop = Shop::at(next.grpc_url()).await;
            server = Some(next);
        }
    }
    let last = shop.erase("nobody", "").await;
    shop.reaches(ErasureState::Applied, &last.receipt).await;
    assert!(server.take().expect("it runs").stop().success());
    let options = EmbeddedOptions { dedup_window: TimeDelta::from_hours(24), reserve_bytes: 0, ..EmbeddedOptions::default() };
    let store = Embedded::open(&data, options).expect("the store opens");
    let (differing, count) = differing_from_log(&store).await;
    assert!(differing.is_empty(), "{} of {count} differ: {differing:?}", differing.len());
    assert!(UserId::parse("u0").is_ok() && count > 0);
}

//! Segments: learned from logs, with names and a stable identity across trainings, and delivered to every subscriber in spite of kills.

use portrait::import::{self, ImportArgs, ImportReport};
use portrait_client::{RoleRouter, ServerArgs};
use portrait_node::{Config, Node, NodeRole};
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{
    ActivateModelRequest, BatchGetProfilesRequest, ListModelsRequest, ListSegmentsRequest,
    ListSegmentsResponse, ResyncPhase, TrainModelRequest, TrainOutcome, WatchProfileChangesRequest,
    WatchStart,
};
use portrait_store::ProfileClock;
use portrait_tests::logs::prepared;
use portrait_tests::{Log, Server, census, connect, wait_until};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Starts a node for replays with an unlimited sweep rate. Trainings skip the item and score models unless `set` enables them.
pub(super) async fn node(folder: &std::path::Path, set: impl FnOnce(&mut portrait_model::Config)) -> Node {
    let mut config = Config::on_free_ports(folder);
    config.profiles.clock = ProfileClock::Events;
    config.feature.sweep_profiles_per_second = 1_000_000;
    (config.model.histories_max, config.model.examples_max) = (0, 0);
    set(&mut config.model);
    Node::start(NodeRole::All, config).await.expect("a node")
}

pub(super) async fn import_into(url: &str, log: &Log) {
    let args = ImportArgs::new(log.path(), log.format, ServerArgs::at(url));
    let mut report = ImportReport::default();
    import::import(&args, &mut report).await.expect("the log imports");
}

pub(super) async fn train(channel: &RoleRouter, request: TrainModelRequest) -> TrainOutcome {
    portrait_client::train(channel.clone(), request, |_, _| {}).await.expect("the training ends")
}

/// Segments of the served model; `None` while no model is served.
pub(super) async fn segments(channel: &RoleRouter) -> Option<ListSegmentsResponse> {
    let mut query = QueryServiceClient::new(channel.clone());
    match query.list_segments(ListSegmentsRequest {}).await {
        Ok(response) => Some(response.into_inner()),
        Err(status) if status.code() == tonic::Code::FailedPrecondition => None,
        Err(status) => panic!("{status:?}"),
    }
}

/// Waits until all users are assigned to segments of model `version`.
pub(super) async fn wait_for_sweep(channel: &RoleRouter, version: u64, users: u64) -> ListSegmentsResponse {
    wait_until("all users are in a segment of the model", async || {
        let complete = |listed: ListSegmentsResponse| {
            listed.model_version == version && listed.assigned_users == users && listed.retired_users == 0
        };
        segments(channel).await.is_some_and(complete)
    })
    .await;
    segments(channel).await.expect("there is a model")
}

pub(super) async fn memberships(channel: &RoleRouter) -> BTreeMap<String, String> {
    let user_ids: Vec<String> = census(channel.clone()).await.into_keys().collect();
    let mut query = QueryServiceClient::new(channel.clone());
    let mut memberships = BTreeMap::new();
    for page in user_ids.chunks(500) {
        let request = BatchGetProfilesRequest { user_ids: page.to_vec(), ..Default::default() };
        let profiles = query.batch_get_profiles(request).await.expect("profiles").into_inner().profiles;
        memberships.extend(profiles.into_iter().map(|profile| {
            (profile.user_id, profile.segment.map_or_else(String::new, |segment| segment.segment_id))
        }));
    }
    memberships
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_have_names_members_and_a_stable_identity() {
    let logs = [prepared::ONLINE_RETAIL, prepared::GROCERIES, prepared::TMALL, prepared::ESHOP];
    check_segment_identity(&logs).await;
}

/// Trains four times on each log without new events between.
pub(super) async fn check_segment_identity(logs: &[Log]) {
    for log in logs {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Automatic trainings are off, so that only the requested versions are compared.
        let node = node(folder.path(), |model| model.automatic = false).await;
        import_into(&node.grpc_url(), log).await;
        let channel = connect(&node.grpc_url()).await;
        let first = train(&channel, TrainModelRequest { choose_segments: true, ..Default::default() }).await;
        assert!(first.published, "{}: {}", log.file, first.refusal);
        let listed = wait_for_sweep(&channel, first.version, log.users).await;
        let names: BTreeSet<&str> = listed.segments.iter().map(|segment| segment.name.as_str()).collect();
        assert!(
            listed.segments.len() >= 4 && names.len() == listed.segments.len(),
            "{}: {names:?}",
            log.file
        );
        assert!(names.iter().all(|name| name.len() > 3 && !name.contains("cluster")), "{names:?}");
        let before = memberships(&channel).await;
        // Without new events all users keep their segments, and the segments keep their names and ids.
        let mut version = first.version;
        for _ in 0..3 {
            let repeated = train(&channel, TrainModelRequest::default()).await;
            assert!(repeated.published, "{}: {}", log.file, repeated.refusal);
            version = repeated.version;
        }
        let later = wait_for_sweep(&channel, version, log.users).await;
        let identities = |listed: &ListSegmentsResponse| -> BTreeMap<String, String> {
            listed.segments.iter().map(|one| (one.segment_id.clone(), one.name.clone())).collect()
        };
        assert_eq!(identities(&later), identities(&listed), "{}", log.file);
        let after = memberships(&channel).await;
        let kept = before.iter().filter(|(user, segment)| after.get(*user) == Some(segment)).count();
        let share = kept as f64 / before.len() as f64;
        println!("{}: {} segments, {:.2}% kept", log.file, listed.segments.len(), share * 100.0);
        assert!(share >= 0.99, "{}: {share} of the users kept their segment", log.file);
        node.stop().await.expect("the node stops");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_rolled_restarts_at_once_and_versions_never_restart() {
    check_rollback(&prepared::TMALL).await;
}

/// Publishes, rolls back and trains again on the users of a log.
pub(super) async fn check_rollback(log: &Log) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = node(folder.path(), |model| model.automatic = false).await;
    import_into(&first.grpc_url(), log).await;
    first.stop().await.expect("the node stops");

    let node = node(folder.path(), |model| model.retrain_after_records = 0).await;
    let channel = connect(&node.grpc_url()).await;
    let mut models = ModelServiceClient::new(channel.clone());
    let newest = async || {
        let listed = ModelServiceClient::new(channel.clone()).list_models(ListModelsRequest {}).await;
        listed.expect("a response").into_inner()
    };
    wait_until("the first model is published automatically", async || newest().await.active_version == 1)
        .await;
    let second = train(&channel, TrainModelRequest { segments: 5, force: true, ..Default::default() }).await;
    assert_eq!((second.published, second.version), (true, 2), "{}", second.refusal);
    let response = models.activate_model(ActivateModelRequest { version: 1 }).await.expect("activated");
    assert_eq!(response.into_inner().previous_version, 2);
    wait_until("the node serves version 1 again", async || {
        newest().await.nodes.iter().any(|node| node.serving_version == 1)
    })
    .await;
    assert_eq!(segments(&channel).await.map(|listed| listed.model_version), Some(1));
    let status =
        models.activate_model(ActivateModelRequest { version: 9 }).await.expect_err("an unknown version");
    assert_eq!(status.code(), tonic::Code::NotFound);
    let third = train(&channel, TrainModelRequest { force: true, ..Default::default() }).await;
    assert_eq!(third.version, 3);
    node.stop().await.expect("the node stops");
}

/// Subscriber to segment changes with the known segment of every user.
#[derive(Default)]
struct Follower {
    token: Vec<u8>,
    known: BTreeMap<String, (u32, String)>,
    named: BTreeMap<u32, BTreeSet<String>>,
    caught_up_count: usize,
}

impl Follower {
    /// Handles changes until the connection breaks, or three consecutive progress responses have a lag of 0.
    async fn follow(&mut self, url: &str) {
        self.named.clear();
        self.caught_up_count = 0;
        let Ok(channel) = portrait_client::connect(url).await else { return };
        let request = WatchProfileChangesRequest {
            resume_token: self.token.clone(),
            start: WatchStart::Snapshot.into(),
            segment_changes_only: true,
            ..Default::default()
        };
        let Ok(responses) = QueryServiceClient::new(channel).watch_profile_changes(request).await else {
            return;
        };
        let mut responses = responses.into_inner();
        while self.caught_up_count < 3 {
            let Ok(Some(response)) = responses.message().await else { return };
            self.token = response.resume_token;
            match response.kind.expect("a known kind") {
                Kind::Change(change) => {
                    self.caught_up_count = 0;
                    if let Some(named) = self.named.get_mut(&change.partition) {
                        named.insert(change.user_id.clone());
                    }
                    self.known.insert(change.user_id, (change.partition, change.segment_id_after));
                }
                Kind::Progress(progress) => self.caught_up_count += usize::from(progress.lag == 0),
                Kind::Resync(resync) if resync.phase() == ResyncPhase::Begin => {
                    self.named.insert(resync.partition, BTreeSet::new());
                }
                Kind::Resync(resync) => {
                    let named = self.named.remove(&resync.partition).unwrap_or_default();
                    self.known.retain(|user, (partition, _)| {
                        *partition != resync.partition || named.contains(user)
                    });
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_subscriber_converges_after_twenty_trainings_and_kills() {
    check_segment_changes(&prepared::TMALL).await;
}

/// Subscribes to segment changes during twenty trainings, about half of which are interrupted by a kill.
pub(super) async fn check_segment_changes(log: &Log) {
    let data = tempfile::tempdir().expect("a temporary folder");
    let settings = [
        ("profiles.clock", "events"),
        ("model.rows_min", "300"),
        ("feature.sweep_profiles_per_second", "1000000"),
        ("query.progress_interval", "50ms"),
    ];
    let settings: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let flags: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting.as_str()]).collect();
    let mut server = Server::start(data.path(), &flags);
    import_into(server.grpc_url(), log).await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut follower = Follower::default();
    let mut kills = 0;
    for round in 0..20_u32 {
        let channel = connect(server.grpc_url()).await;
        // The number of segments changes each round, so that many users move.
        let request = TrainModelRequest { segments: 3 + round % 6, force: true, ..Default::default() };
        let training = tokio::spawn(async move {
            // The training fails if the server is killed meanwhile.
            portrait_client::train(channel, request, |_, _| {}).await.is_ok()
        });
        let url = server.grpc_url().to_owned();
        let following = tokio::spawn(async move {
            follower.follow(&url).await;
            follower
        });
        if rng.random_bool(0.5) {
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..400))).await;
            server.kill();
            kills += 1;
            follower = following.await.expect("no panic");
            training.await.expect("no panic");
            server = Server::start(data.path(), &flags);
        } else {
            training.await.expect("no panic");
            follower = following.await.expect("no panic");
        }
    }
    println!("{kills} kills");
    let channel = connect(server.grpc_url()).await;
    let last = train(&channel, TrainModelRequest { segments: 4, force: true, ..Default::default() }).await;
    assert!(last.published, "{}", last.refusal);
    wait_for_sweep(&channel, last.version, log.users).await;
    wait_until("the subscriber converges to the profiles", async || {
        follower.follow(server.grpc_url()).await;
        let known: BTreeMap<String, String> =
            follower.known.iter().map(|(user, (_, segment))| (user.clone(), segment.clone())).collect();
        known == memberships(&channel).await
    })
    .await;
}

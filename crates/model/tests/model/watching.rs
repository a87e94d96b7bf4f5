//! Broadcast: a node is announced the newest version, its replies are recorded and waited for, and a slow node costs a
//! bounded queue.

use super::features::{users, users_with_histories};
use super::sandbox::{NEW_YEAR, PATIENCE, Sandbox, config, field, reason};
use super::watcher::Watcher;
use portrait_model::Config;
use portrait_profile::Timestamp;
use portrait_proto::time;
use portrait_proto::v1::watch_models_request::Kind as RequestKind;
use portrait_proto::v1::{
    Ack, ActivateModelRequest, ErrorReason, Hello, ModelManifest, NodeStatus, TrainModelRequest,
};
use portrait_runtime::config::DurationSetting;
use prost::Message;
use tokio::time::timeout;
use tonic::Code;
use tonic_types::StatusExt;

const FORCE: TrainModelRequest = TrainModelRequest { segments: 0, choose_segments: false, force: true };

async fn node(sandbox: &Sandbox, name: &str) -> Option<NodeStatus> {
    sandbox.list().await.nodes.into_iter().find(|node| node.node == name)
}

#[tokio::test]
async fn every_node_gets_the_newest_version_whole_whenever_it_joins() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users_with_histories(120));
    let mut early = Watcher::of(&sandbox, "early").await;
    let first = sandbox.first().await;
    assert_eq!(early.next_version().await, 1);
    assert_eq!(early.manifest(), first);
    let second = sandbox.published(FORCE).await;
    assert_eq!(early.next_version().await, 2);
    let mut late = Watcher::of(&sandbox, "late").await;
    assert_eq!(late.next_version().await, 2, "no older one");
    for watcher in [&early, &late] {
        assert_eq!(watcher.manifest(), second);
    }
    // Parts that did not change keep their names, so that the early node needs not read them.
    assert!(second.parts.iter().any(|part| first.parts.iter().any(|old| old.name == part.name)));
}

#[tokio::test]
async fn a_node_that_serves_the_version_is_not_announced_it() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(120, 3));
    sandbox.first().await;
    let hello = Hello { node: "current".to_owned(), serving_version: 1, ..Default::default() };
    let mut current = Watcher::begin(&sandbox, RequestKind::Hello(hello)).await.expect("a watcher slot");
    current.wait_heartbeats(3).await;
    assert!(current.versions.is_empty());
    assert_eq!(node(&sandbox, "current").await.expect("it watches").serving_version, 1);
}

#[tokio::test]
async fn a_training_ends_when_every_node_has_replied_and_names_those_that_have_not() {
    let patient = || Config { acknowledge_timeout: DurationSetting::from_millis(60_000), ..config() };
    let sandbox = Sandbox::running(patient()).await;
    sandbox.features.send(users(120, 3));
    let [mut good, mut bad] = [Watcher::of(&sandbox, "good").await, Watcher::of(&sandbox, "bad").await];
    let replies = async {
        assert_eq!((good.next_version().await, bad.next_version().await), (1, 1));
        good.ack(1).await;
        bad.nack(1, "the disk is full").await;
    };
    let (outcome, ()) = tokio::join!(sandbox.train(TrainModelRequest::default()), replies);
    let nodes = outcome.expect("an outcome").nodes;
    let replied = |name: &str| nodes.iter().find(|node| node.node == name).expect("it watched");
    assert_eq!((replied("good").serving_version, replied("bad").refused_version), (1, 1));
    assert_eq!(replied("bad").refusal, "the disk is full");

    // A node that never replies is named after the timeout, and one that leaves is not waited for.
    let hasty = Config { acknowledge_timeout: DurationSetting::from_millis(200), ..config() };
    let other = sandbox.another(hasty).await;
    let _silent = Watcher::of(&other, "silent").await;
    let activated = other.client().activate_model(ActivateModelRequest { version: 1 }).await;
    let nodes = activated.expect("it is kept").into_inner().nodes;
    assert_eq!((nodes.len(), &*nodes[0].node, nodes[0].serving_version), (1, "silent", 0));
    drop(bad);
    let activation = async {
        assert_eq!(good.next_version().await, 2);
        good.ack(2).await;
    };
    let (outcome, ()) = tokio::join!(sandbox.train(FORCE), activation);
    let names: Vec<String> = outcome.expect("an outcome").nodes.into_iter().map(|node| node.node).collect();
    assert_eq!(names, ["good"]);
}

#[tokio::test]
async fn a_heartbeat_has_the_clock_of_the_server() {
    let sandbox = Sandbox::running(config()).await;
    let mut watcher = Watcher::of(&sandbox, "node").await;
    watcher.wait_heartbeats(1).await;
    sandbox.clock.advance(5000);
    watcher.wait_heartbeats(2).await;
    let clock = |millis| time::to_wire(Timestamp::from_millis(millis));
    assert_eq!(watcher.heartbeats.first(), Some(&clock(NEW_YEAR)));
    assert_eq!(watcher.heartbeats.last(), Some(&clock(NEW_YEAR + 5000)));
}

#[tokio::test]
async fn acks_and_nacks_are_recorded_by_node_until_it_disconnects() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(120, 3));
    let mut good = Watcher::of(&sandbox, "good").await;
    let mut bad = Watcher::of(&sandbox, "bad").await;
    sandbox.first().await;
    sandbox.clock.advance(1000);
    for watcher in [&mut good, &mut bad] {
        assert_eq!(watcher.next_version().await, 1);
    }
    good.ack(1).await;
    bad.nack(1, &"x".repeat(5000)).await;
    sandbox
        .until("both replies are recorded", async || {
            let [good, bad] = [node(&sandbox, "good").await, node(&sandbox, "bad").await];
            good.is_some_and(|one| one.serving_version == 1)
                && bad.is_some_and(|one| one.refused_version == 1)
        })
        .await;
    let [good_status, bad_status] =
        [node(&sandbox, "good").await, node(&sandbox, "bad").await].map(Option::unwrap);
    let since = |millis| Some(time::to_wire(Timestamp::from_millis(millis)));
    assert_eq!((good_status.refused_version, good_status.since), (0, since(NEW_YEAR + 1000)));
    assert_eq!((bad_status.serving_version, bad_status.since), (0, since(NEW_YEAR)));
    assert_eq!(bad_status.refusal.len(), 1000, "the reason is bounded");
    drop(bad);
    sandbox.until("its slot is free", async || node(&sandbox, "bad").await.is_none()).await;
    assert!(node(&sandbox, "good").await.is_some());
}

#[tokio::test]
async fn a_roll_back_reaches_every_node() {
    let sandbox = Sandbox::running(config()).await;
    let other = sandbox.another(config()).await;
    sandbox.features.send(users(120, 3));
    let mut watchers = [Watcher::of(&sandbox, "here").await, Watcher::of(&other, "other").await];
    for version in [1, 2] {
        sandbox.published(FORCE).await;
        for watcher in &mut watchers {
            assert_eq!(watcher.next_version().await, version);
        }
    }
    sandbox.client().activate_model(ActivateModelRequest { version: 1 }).await.expect("it is kept");
    for watcher in &mut watchers {
        assert_eq!(watcher.next_version().await, 1);
        assert_eq!(watcher.manifest().version, 1);
    }
}

#[tokio::test]
async fn a_slow_node_skips_to_the_newest_version_and_delays_no_other() {
    let sandbox = Sandbox::running(config()).await;
    let mut slow = Watcher::of(&sandbox, "slow").await;
    let mut quick = Watcher::of(&sandbox, "quick").await;
    for version in 1..=40 {
        let manifest = ModelManifest { version, ..Default::default() };
        sandbox.publish(version, manifest.encode_to_vec()).await;
        assert_eq!(quick.next_version().await, version);
    }
    while slow.versions.last() != Some(&40) {
        slow.next_version().await;
    }
    assert!(slow.versions.is_sorted(), "no older one after a newer one: {:?}", slow.versions);
    // At most four messages wait, and one is on its way.
    assert!(slow.versions.len() <= 12, "{:?}", slow.versions);
}

#[tokio::test]
async fn watcher_slots_are_limited_and_released_when_a_node_disconnects() {
    let sandbox = Sandbox::running(Config { max_watchers: 2, ..config() }).await;
    let _first = Watcher::of(&sandbox, "one").await;
    let second = Watcher::of(&sandbox, "two").await;
    let third = || RequestKind::Hello(Hello { node: "n".repeat(1000), ..Default::default() });
    let refused = Watcher::begin(&sandbox, third()).await.err().expect("no watcher slot");
    assert_eq!((refused.code(), reason(&refused)), (Code::ResourceExhausted, ErrorReason::Overloaded));
    assert!(refused.get_error_details().retry_info().is_some());
    drop(second);
    sandbox.until("a slot is free", async || sandbox.list().await.nodes.len() == 1).await;
    let _third = Watcher::begin(&sandbox, third()).await.expect("a watcher slot");
    assert!(node(&sandbox, &"n".repeat(128)).await.is_some(), "the name is bounded");
}

#[tokio::test]
async fn a_watch_without_a_hello_is_refused() {
    let sandbox = Sandbox::running(config()).await;
    let status =
        Watcher::begin(&sandbox, RequestKind::Ack(Ack { version: 1 })).await.err().expect("no hello");
    assert_eq!((reason(&status), &*field(&status)), (ErrorReason::MissingField, "hello"));
    assert_eq!(sandbox.list().await.nodes, []);
}

#[tokio::test]
async fn a_drain_ends_every_watch_with_the_reason() {
    let sandbox = Sandbox::idle(config()).await;
    let running = sandbox.run();
    let mut watchers = [Watcher::of(&sandbox, "one").await, Watcher::of(&sandbox, "two").await];
    watchers[0].wait_heartbeats(1).await;
    sandbox.shutdown.cancel();
    timeout(PATIENCE, running).await.expect("the drain ends").expect("no task panics");
    for watcher in &mut watchers {
        let status = watcher.end().await;
        assert_eq!((status.code(), reason(&status)), (Code::Unavailable, ErrorReason::ShuttingDown));
    }
}

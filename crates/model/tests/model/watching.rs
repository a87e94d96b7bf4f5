//! Broadcast: a node gets the newest version and the parts it lacks, its replies are recorded, and a slow node costs
//! a bounded queue.

use super::features::{users, users_with_histories};
use super::sandbox::{NEW_YEAR, PATIENCE, Sandbox, config, field, reason};
use super::watcher::Watcher;
use portrait_model::{Config, manifest};
use portrait_profile::Timestamp;
use portrait_proto::time;
use portrait_proto::v1::watch_models_request::Kind as RequestKind;
use portrait_proto::v1::{
    Ack, ActivateModelRequest, ErrorReason, Hello, ModelManifest, ModelPart, NodeStatus, TrainModelRequest,
};
use portrait_store::RegistryStore;
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
    assert_eq!(early.model(), sandbox.model(&first).await);
    let second = sandbox.published(FORCE).await;
    assert_eq!(early.next_version().await, 2);
    let mut late = Watcher::of(&sandbox, "late").await;
    assert_eq!(late.next_version().await, 2, "no older one");
    for watcher in [&early, &late] {
        assert_eq!(watcher.model(), sandbox.model(&second).await);
    }
    // Of the second version the early node lacked the segments and every part that has changed.
    let known = |part: &&ModelPart| first.parts.iter().any(|old| old.name == part.name);
    let shared = second.parts.iter().filter(known).count();
    assert!(shared > 0, "steps are the same");
    assert_eq!((early.chunks.len() + shared, late.chunks.len()), (second.parts.len(), second.parts.len()));
}

#[tokio::test]
async fn a_node_that_has_a_version_or_its_parts_is_not_sent_them() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users_with_histories(120));
    let first = sandbox.first().await;
    let known_parts: Vec<Vec<u8>> = first.parts.iter().map(|part| part.name.clone()).collect();
    let hello = Hello { node: "restarted".to_owned(), known_parts, ..Default::default() };
    let mut restarted =
        Watcher::begin(&sandbox, RequestKind::Hello(hello.clone())).await.expect("a watcher slot");
    assert_eq!((restarted.next_version().await, &*restarted.chunks), (1, &[][..]));
    let hello = Hello { node: "current".to_owned(), serving_version: 1, ..hello };
    let mut current = Watcher::begin(&sandbox, RequestKind::Hello(hello)).await.expect("a watcher slot");
    current.wait_heartbeats(3).await;
    assert!(current.versions.is_empty());
    assert_eq!(node(&sandbox, "current").await.expect("it watches").serving_version, 1);
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
async fn a_node_that_refused_a_version_is_sent_every_part_of_the_next() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users_with_histories(120));
    let mut watcher = Watcher::of(&sandbox, "node").await;
    sandbox.first().await;
    watcher.next_version().await;
    watcher.nack(1, "the disk is full").await;
    sandbox
        .until("it is recorded", async || {
            node(&sandbox, "node").await.is_some_and(|one| one.refused_version == 1)
        })
        .await;
    let second = sandbox.published(FORCE).await;
    assert_eq!((watcher.next_version().await, watcher.chunks.len()), (2, second.parts.len()));
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
        assert_eq!(watcher.model().version.get(), 1);
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
    // At most 16 messages wait, two and more for each version.
    assert!(slow.versions.len() <= 12, "{:?}", slow.versions);
}

#[tokio::test]
async fn a_large_part_is_sent_in_chunks_of_one_mebibyte() {
    let sandbox = Sandbox::running(config()).await;
    let large: Vec<u8> = (0..(5_u32 << 19)).map(|number| (number % 251) as u8).collect();
    let name = sandbox.store.put_part(large.clone().into()).await.expect("the store takes it");
    let part = ModelPart { name: manifest::name_to_wire(name), kind: "later".to_owned(), size: 5 << 19 };
    let manifest = ModelManifest { version: 1, parts: vec![part], ..Default::default() };
    sandbox.publish(1, manifest.encode_to_vec()).await;
    let mut watcher = Watcher::of(&sandbox, "node").await;
    assert_eq!(watcher.next_version().await, 1);
    assert_eq!(watcher.chunks, [1 << 20, 1 << 20, 1 << 19]);
    assert_eq!(watcher.parts[&name], large);
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

//! Comparison of four processes on Redis with one process on an embedded store: the same profiles and segments.

use super::segments::{import_into, memberships, node, train, wait_for_sweep};
use portrait_learning::evaluation::adjusted_rand_index;
use portrait_proto::v1::TrainModelRequest;
use portrait_store_redis::testing::Server as Redis;
use portrait_tests::logs::prepared;
use portrait_tests::{Cluster, Log, census, connect};
use std::collections::BTreeMap;

/// Segment of each user as a number.
fn labels(memberships: &BTreeMap<String, String>) -> Vec<u32> {
    let mut known = BTreeMap::new();
    let mut number = |segment: &String| {
        let next = u32::try_from(known.len()).expect("few segments");
        *known.entry(segment.clone()).or_insert(next)
    };
    memberships.values().map(&mut number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_on_redis_equal_one_embedded_process() {
    check_cluster(&prepared::GROCERIES).await;
}

/// Imports a log into one process and into four, and compares profiles and segments.
pub(super) async fn check_cluster(log: &Log) {
    let request = TrainModelRequest { segments: 5, ..Default::default() };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let single = node(folder.path(), |model| model.automatic = false).await;
    import_into(&single.grpc_url(), log).await;
    let channel = connect(&single.grpc_url()).await;
    let expected = census(channel.clone()).await;
    let trained = train(&channel, request).await;
    assert!(trained.published, "{}", trained.refusal);
    let users = expected.len() as u64;
    wait_for_sweep(&channel, trained.version, users).await;
    let expected_segments = memberships(&channel).await;
    single.stop().await.expect("the node stops");

    let redis = Redis::start(&[("appendonly", "yes"), ("appendfsync", "always")]);
    let settings =
        ["profiles.clock=events", "model.automatic=false", "feature.sweep_profiles_per_second=1000000"];
    let cluster = Cluster::start(&redis.url(), &settings);
    import_into(&cluster.address(), log).await;
    let channel = cluster.connect().await;
    assert_eq!(census(channel.clone()).await, expected);
    let trained = train(&channel, request).await;
    assert!(trained.published, "{}", trained.refusal);
    wait_for_sweep(&channel, trained.version, users).await;
    let segments = memberships(&channel).await;
    assert!(segments.keys().eq(expected_segments.keys()));
    let agreement = adjusted_rand_index(&labels(&segments), &labels(&expected_segments));
    assert!(agreement >= 0.999, "{agreement}");
}

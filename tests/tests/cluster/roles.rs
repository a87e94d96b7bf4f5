//! Four processes that share a Redis do what one does on its disk: the same profiles, the same segments, to the last record.

use super::segments::{import_into, memberships, node, swept, train};
use portrait_learning::evaluation::adjusted_rand_index;
use portrait_proto::v1::TrainModelRequest;
use portrait_store_redis::testing::Server as Redis;
use portrait_tests::logs::prepared;
use portrait_tests::{Cluster, Log, census, connect};
use std::collections::BTreeMap;

/// Labels by user, as numbers.
fn labels(memberships: &BTreeMap<String, String>) -> Vec<u32> {
    let mut known = BTreeMap::new();
    let mut number = |segment: &String| {
        let next = u32::try_from(known.len()).expect("few segments");
        *known.entry(segment.clone()).or_insert(next)
    };
    memberships.values().map(&mut number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_on_redis_make_the_profiles_and_segments_that_one_makes_on_its_disk() {
    check_cluster(&prepared::GROCERIES).await;
}

/// Imports a log into one process and into four, and compares profiles and segments.
pub(super) async fn check_cluster(log: &Log) {
    let request = TrainModelRequest { segments: 5, ..Default::default() };
    let folder = tempfile::tempdir().expect("a folder");
    let alone = node(folder.path(), |model| model.automatic = false).await;
    import_into(&alone.grpc_url(), log).await;
    let channel = connect(&alone.grpc_url()).await;
    let expected = census(channel.clone()).await;
    let trained = train(&channel, request).await;
    assert!(trained.published, "{}", trained.refusal);
    let shoppers = expected.len() as u64;
    swept(&channel, trained.version, shoppers).await;
    let expected_segments = memberships(&channel).await;
    alone.stop().await.expect("it stops");

    let redis = Redis::start(&[("appendonly", "yes"), ("appendfsync", "always")]);
    let settings = ["profiles.clock=events", "model.automatic=false", "feature.sweep_rate=1000000"];
    let cluster = Cluster::start(&redis.url(), &settings);
    import_into(&cluster.address(), log).await;
    let channel = cluster.connect().await;
    assert_eq!(census(channel.clone()).await, expected);
    let trained = train(&channel, request).await;
    assert!(trained.published, "{}", trained.refusal);
    swept(&channel, trained.version, shoppers).await;
    let segments = memberships(&channel).await;
    assert!(segments.keys().eq(expected_segments.keys()));
    let agreement = adjusted_rand_index(&labels(&segments), &labels(&expected_segments));
    assert!(agreement >= 0.999, "{agreement}");
}

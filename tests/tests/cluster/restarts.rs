//! Restart of a killed feature worker under its name: it takes back its leases instead of waiting for their end.

use super::store_failures::{DURABLE, applied, track};
use portrait_store_redis::testing::Server as Redis;
use portrait_tests::{Cluster, wait_until};

/// Leases that outlast every wait of a test.
const SETTINGS: [&str; 4] =
    ["feature.lease_ttl=10m", "feature.lease_renewal=1s", "model.automatic=false", "log.filter=warn"];

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_is_ready_again_before_its_leases_end() {
    let redis = Redis::start(&DURABLE);
    let mut cluster = Cluster::start(&redis.url(), &SETTINGS);
    cluster.add("feature");
    for worker in cluster.servers_of("feature") {
        wait_until("the worker is ready", async || worker.http_get("/readyz").contains("200 OK")).await;
    }
    let token = track(&cluster, 0).await.expect("accepted");
    assert_eq!(applied(&cluster, token).await.expect("the profile"), 1);
    // Each of the two once, so that the partition of the user is among those of a killed one.
    for round in 1..=2 {
        cluster.kill_and_restart("feature").await;
        let token = track(&cluster, round).await.expect("accepted");
        assert_eq!(applied(&cluster, token).await.expect("the profile"), 1 + round as u64);
    }
    for worker in cluster.servers_of("feature") {
        assert_eq!(worker.metric_total("portrait_feature_duplicate_names_total"), 0.0);
        assert_eq!(worker.metric_total("portrait_feature_fenced_commits_total"), 0.0);
    }
}

//! Rolling update under load: the processes are replaced one by one while a client with the published gRPC service configuration sends
//! events and reads profiles without a failed call.

use super::steady_load::SteadyLoad;
use super::store_failures::{DURABLE, applied, track};
use portrait_store_redis::testing::Server as Redis;
use portrait_tests::{Cluster, Release, repository, wait_until};
use prost::Message;
use tonic::Code;
use tonic_types::StatusExt;

/// Recommended drain delay: clients learn that a process stops before it refuses calls.
const SETTINGS: [&str; 3] = ["server.drain_delay=1500ms", "model.automatic=false", "log.filter=warn"];

fn addresses(cluster: &Cluster, role: &str) -> String {
    let addresses: Vec<&str> =
        cluster.servers_of(role).map(|server| server.grpc_url().trim_start_matches("http://")).collect();
    addresses.join(",")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_is_replaced_under_load_without_a_failed_call_or_a_lost_event() {
    replace_all(["ingest", "query", "feature", "model"], Release::This).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_release_takes_over_under_load_without_a_failed_call_or_a_lost_event() {
    replace_all(["query", "feature", "model", "ingest"], Release::Next).await;
}

/// Replaces the processes of the roles in this order under load and compares the acknowledged events with the profiles.
async fn replace_all(roles: [&str; 4], release: Release) {
    let redis = Redis::start(&DURABLE);
    let mut cluster = Cluster::start(&redis.url(), &SETTINGS);
    ["feature", "ingest", "query"].into_iter().for_each(|role| cluster.add(role));
    let load = SteadyLoad::start(&addresses(&cluster, "ingest"), &addresses(&cluster, "query"));
    let call_metrics =
        [("ingest", "portrait_ingest_accepted_total"), ("query", "portrait_query_reads_total")];
    cluster.set_release(release);
    for role in roles {
        for _ in 0..cluster.servers_of(role).count() {
            // Replaces the oldest process. The next one waits until clients have discovered the replacement, as with `minReadySeconds` of
            // the chart.
            cluster.replace(role).await;
            if let Some((_, metric)) = call_metrics.iter().find(|(known, _)| *known == role) {
                let replacement = cluster.servers_of(role).last().expect("it was just started");
                wait_until("clients call the replacement", async || replacement.metric_total(metric) > 0.0)
                    .await;
            }
        }
    }
    load.end(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_back_release_waits_for_the_newer_one_and_loses_nothing() {
    let redis = Redis::start(&DURABLE);
    let mut cluster = Cluster::start(&redis.url(), &SETTINGS);
    cluster.set_release(Release::Next);
    cluster.replace("feature").await;
    let token = track(&cluster, 1).await.expect("accepted");
    // Query still runs the previous release.
    let refused = applied(&cluster, token).await.expect_err("an unknown profile format");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("run the release that wrote it"), "{refused}");
    assert_eq!(refused.get_details_error_info().expect("details").reason, "STORE_INCOMPATIBLE");
    cluster.replace("query").await;

    cluster.set_release(Release::This);
    cluster.replace("feature").await;
    let token = track(&cluster, 2).await.expect("accepted");
    let worker = cluster.servers_of("feature").next().expect("a running process");
    let errors = "portrait_feature_partition_errors_total";
    wait_until("the worker has failed to read the profile", async || worker.metric_total(errors) > 0.0).await;
    cluster.set_release(Release::Next);
    cluster.replace("feature").await;
    assert_eq!(applied(&cluster, token).await.expect("the worker is upgraded"), 2);
}

#[test]
fn the_service_configuration_lists_every_unary_method_and_no_stream() {
    let config =
        std::fs::read_to_string(repository().join("proto/service_config.json")).expect("a readable file");
    let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    let descriptors =
        prost_types::FileDescriptorSet::decode(portrait_proto::DESCRIPTOR_SET).expect("descriptors");
    let mut unary = std::collections::BTreeSet::new();
    for service in descriptors.file.iter().flat_map(|file| &file.service) {
        let methods =
            service.method.iter().filter(|method| !method.client_streaming() && !method.server_streaming());
        unary.extend(methods.map(|method| format!("portrait.v1.{}/{}", service.name(), method.name())));
    }
    let parts = config["methodConfig"].as_array().expect("a list");
    let names = parts.iter().flat_map(|part| part["name"].as_array().expect("a list"));
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let named: Vec<String> =
        names.map(|name| format!("{}/{}", text(&name["service"]), text(&name["method"]))).collect();
    for name in &named {
        assert!(unary.remove(name), "{name} is not a unary method, or is listed twice");
    }
    // ModelService has no automatic retries, because its calls change the models of all users.
    let others = unary.into_iter().filter(|name| !name.starts_with("portrait.v1.ModelService/"));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<String>::new(), "methods without a configuration");
}

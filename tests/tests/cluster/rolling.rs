//! A deployment that is renewed process by process while a shop works with it: its back end, which knows nothing but our service
//! configuration, notices nothing.

use super::trouble::{DURABLE, applied, track};
use portrait_store_redis::testing::Server as Redis;
use portrait_tests::{Cluster, Release, census, python, repository, until};
use prost::Message;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use tonic::Code;
use tonic_types::StatusExt;

/// What operators are told to give a process to go: others hear that it will before it refuses a call.
const SETTINGS: [&str; 3] = ["server.drain_delay=1500ms", "model.automatic=false", "log.filter=warn"];

#[derive(Debug, serde::Deserialize)]
struct Worked {
    events: BTreeMap<String, u64>,
    reads: u64,
    failed: BTreeMap<String, u64>,
    seconds: f64,
    slowest: BTreeMap<String, f64>,
}

fn addresses(cluster: &Cluster, role: &str) -> String {
    let addresses: Vec<&str> =
        cluster.of(role).map(|server| server.grpc_url().trim_start_matches("http://")).collect();
    addresses.join(",")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_is_renewed_under_load_and_no_call_fails_and_nothing_is_lost() {
    renew_all(["ingest", "query", "feature", "model"], Release::This).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_release_takes_over_under_load_readers_first_and_no_call_fails_and_nothing_is_lost() {
    renew_all(["query", "feature", "model", "ingest"], Release::Next).await;
}

/// Renews the roles in that order while a shop works with them, and holds what it was told against what is there.
async fn renew_all(roles: [&str; 4], release: Release) {
    let redis = Redis::start(&DURABLE);
    let mut cluster = Cluster::start(&redis.url(), &SETTINGS);
    ["feature", "ingest", "query"].into_iter().for_each(|role| cluster.add(role));
    let mut shop = Command::new(python())
        .arg(repository().join("tests/clients/steady_load.py"))
        .args([addresses(&cluster, "ingest"), addresses(&cluster, "query"), "2000".into(), "500".into()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python is there");
    let mut said = BufReader::new(shop.stdout.take().expect("it is piped"));
    let mut line = String::new();
    said.read_line(&mut line).expect("it says when it has begun");
    assert_eq!(line, "begun\n");
    let called = [("ingest", "portrait_ingest_accepted_total"), ("query", "portrait_query_reads_total")];
    cluster.set_release(release);
    for role in roles {
        for _ in 0..cluster.of(role).count() {
            // The oldest goes, and comes back as the newest; the next goes when callers have found that, which is what the chart's
            // `minReadySeconds` is for.
            cluster.renew(role).await;
            if let Some((_, calls)) = called.iter().find(|(called, _)| *called == role) {
                let new = cluster.of(role).last().expect("it was just started");
                until("the shop calls the new one", async || new.counted(calls) > 0.0).await;
            }
        }
    }
    drop(shop.stdin.take());
    let mut figures = String::new();
    said.read_to_string(&mut figures).expect("it says what it has done");
    assert!(shop.wait().expect("it ends").success());
    let worked: Worked = serde_json::from_str(&figures).expect("figures");
    let events: u64 = worked.events.values().sum();
    println!(
        "{:.0} events and {:.0} reads a second for {:.0} s; slowest calls, in seconds: {:?}",
        events as f64 / worked.seconds,
        worked.reads as f64 / worked.seconds,
        worked.seconds,
        worked.slowest,
    );
    assert_eq!(worked.failed, BTreeMap::new());
    assert!(worked.reads > 0);
    let line = cluster.connect().await;
    until("all that was acknowledged is applied, once", async || {
        let profiles = census(line.clone()).await;
        profiles.into_iter().map(|(user, (applied, _))| (user, applied)).eq(worked.events.clone())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_taken_back_waits_for_the_next_one_and_loses_nothing() {
    let redis = Redis::start(&DURABLE);
    let mut cluster = Cluster::start(&redis.url(), &SETTINGS);
    cluster.set_release(Release::Next);
    cluster.renew("feature").await;
    let token = track(&cluster, 1).await.expect("it is taken");
    // The reader is still of the release before.
    let refused = applied(&cluster, token).await.expect_err("it cannot read that");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("run the release that wrote it"), "{refused}");
    assert_eq!(refused.get_details_error_info().expect("details").reason, "STORE_INCOMPATIBLE");
    cluster.renew("query").await;

    cluster.set_release(Release::This);
    cluster.renew("feature").await;
    let token = track(&cluster, 2).await.expect("it is taken");
    let worker = cluster.of("feature").next().expect("there is one");
    let errors = "portrait_feature_partition_errors_total";
    until("it has met the profile", async || worker.counted(errors) > 0.0).await;
    cluster.set_release(Release::Next);
    cluster.renew("feature").await;
    assert_eq!(applied(&cluster, token).await.expect("it is renewed"), 2);
}

#[test]
fn the_service_configuration_names_methods_that_are_there_and_no_stream() {
    let config =
        std::fs::read_to_string(repository().join("proto/service_config.json")).expect("it is there");
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
        assert!(unary.remove(name), "{name} is no unary method, or is named twice");
    }
    // What changes the models of everybody is not to be sent twice by a machine.
    let others = unary.into_iter().filter(|name| !name.starts_with("portrait.v1.ModelService/"));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<String>::new(), "no word on these");
}

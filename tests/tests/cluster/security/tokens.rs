//! Tokens: what each role may do, what is told to whom it may not, how often it may, and tokens that change under a running server.

use super::{SecuredServer, RELOAD, asked, caller, command, events, holds, nodes, served, with_tls};
use portrait_proto::status::reason_of;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::{ErrorReason, TrackStreamRequest, TrainModelRequest};
use portrait_runtime::peer::{Peer, PresentedCredentials};
use portrait_runtime::tokens::hashed;
use portrait_store_redis::testing::{Certificates, Server as Redis};
use portrait_tests::{Cluster, until};
use std::path::PathBuf;
use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_types::StatusExt;

/// A file of tokens that are called as the roles they have, with more about each.
struct Tokens {
    folder: TempDir,
}

impl Tokens {
    fn of(tokens: &[(&str, &str)]) -> Self {
        let made = Self { folder: tempfile::tempdir().expect("a folder") };
        made.write(tokens);
        made
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("tokens.toml")
    }

    fn write(&self, tokens: &[(&str, &str)]) {
        let entry = |(role, more): &(&str, &str)| {
            let hash = hashed(&format!("{role}-secret"));
            format!("[[token]]\nname = \"{role}\"\nsha256 = \"{hash}\"\nroles = [\"{role}\"]\n{more}\n")
        };
        let text: String = tokens.iter().map(entry).collect();
        // In one step, as an operator's tools do.
        let draft = self.folder.path().join("draft");
        std::fs::write(&draft, text).expect("written");
        std::fs::rename(draft, self.path()).expect("moved");
    }

    fn settings(&self) -> Vec<String> {
        vec![RELOAD.to_owned(), format!("server.tokens_file={}", self.path().display())]
    }
}

/// A connection that shows a token, or none.
async fn with(house: &SecuredServer, token: Option<&str>) -> Peer {
    let presented = PresentedCredentials::default();
    let presented = match token {
        Some(token) => presented.with_token(token).expect("a token"),
        None => presented,
    };
    let channel = presented.endpoint(house.url()).expect("an address").connect().await.expect("it listens");
    presented.over(channel)
}

async fn writes(peer: &Peer, count: usize) -> Result<(), Status> {
    IngestServiceClient::new(peer.clone()).track(events(count)).await.map(drop)
}

async fn trains(peer: &Peer) -> Result<(), Status> {
    ModelServiceClient::new(peer.clone()).train_model(TrainModelRequest::default()).await.map(drop)
}

async fn reflects(peer: &Peer) -> Result<(), Status> {
    let request = tokio_stream::once(ServerReflectionRequest::default());
    ServerReflectionClient::new(peer.clone()).server_reflection_info(request).await.map(drop)
}

fn code<T>(answer: &Result<T, Status>) -> Code {
    answer.as_ref().err().map_or(Code::Ok, Status::code)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_its_own_and_whoever_may_not_is_told_which_it_needs() {
    let tokens = Tokens::of(&[("write", ""), ("read", ""), ("admin", "")]);
    let house = SecuredServer::start(&tokens.settings());
    let (ok, denied, unknown) = (Code::Ok, Code::PermissionDenied, Code::Unauthenticated);
    // Writing, reading of what there is not, training, reflection.
    let rows = [
        (None, [unknown, unknown, unknown, unknown]),
        (Some("nobody-secret"), [unknown, unknown, unknown, unknown]),
        (Some("write-secret"), [ok, denied, denied, ok]),
        (Some("read-secret"), [denied, Code::NotFound, denied, ok]),
        (Some("admin-secret"), [denied, denied, ok, ok]),
    ];
    for (token, expected) in rows {
        let peer = with(&house, token).await;
        let answers =
            [writes(&peer, 1).await, asked(&peer).await, trains(&peer).await, reflects(&peer).await];
        assert_eq!(answers.each_ref().map(code), expected, "{token:?}");
        for status in answers.into_iter().filter_map(Result::err) {
            let reason = match status.code() {
                Code::Unauthenticated => ErrorReason::Unauthenticated,
                Code::PermissionDenied => ErrorReason::PermissionDenied,
                _ => continue,
            };
            assert_eq!(reason_of(&status), Some(reason), "{status}");
            assert!(!status.message().contains("secret"), "{status}");
        }
        // Whoever spreads calls over servers asks after their health without a token.
        HealthClient::new(peer).check(HealthCheckRequest::default()).await.expect("health is open");
    }
    let reader = with(&house, Some("read-secret")).await;
    let status = writes(&reader, 1).await.expect_err("a reader");
    assert!(status.message().contains("has not the role write"), "{status}");
    // The process itself needs none: its rooms call each other inside.
    until("the process watches its own models", async || nodes(&reader).await == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_goes_is_not_let_in_and_a_broken_file_changes_nothing() {
    let tokens = Tokens::of(&[("write", ""), ("read", "")]);
    let house = SecuredServer::start(&tokens.settings());
    let (writer, reader) =
        (with(&house, Some("write-secret")).await, with(&house, Some("read-secret")).await);
    writes(&writer, 1).await.expect("a writer");
    tokens.write(&[("read", "")]);
    until("the writer is known no more", async || code(&writes(&writer, 1).await) == Code::Unauthenticated)
        .await;
    assert_eq!(code(&asked(&reader).await), Code::NotFound);
    tokens.write(&[("cook", "")]);
    holds(async || code(&asked(&reader).await) == Code::NotFound).await;
    tokens.write(&[("write", ""), ("admin", "")]);
    until("the writer is back", async || writes(&writer, 1).await.is_ok()).await;
    assert_eq!(code(&asked(&reader).await), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_do_no_more_than_its_rate_and_is_told_when_to_come_again() {
    let tokens = Tokens::of(&[("write", "events_per_second = 10"), ("read", "calls_per_second = 1")]);
    let mut settings = tokens.settings();
    settings.push("ingest.stream_patience=50ms".to_owned());
    let house = SecuredServer::start(&settings);
    let (writer, reader) =
        (with(&house, Some("write-secret")).await, with(&house, Some("read-secret")).await);
    writes(&writer, 1000).await.expect("a batch passes whole");
    assert_eq!(code(&asked(&reader).await), Code::NotFound);
    for (status, seconds) in [(writes(&writer, 1).await, 90..=100), (asked(&reader).await, 0..=1)] {
        let status = status.expect_err("too many");
        assert_eq!(
            (status.code(), reason_of(&status)),
            (Code::ResourceExhausted, Some(ErrorReason::RateLimited))
        );
        let wait = status.get_details_retry_info().and_then(|info| info.retry_delay).expect("when");
        assert!(seconds.contains(&wait.as_secs()), "{wait:?}");
    }
    let request = TrackStreamRequest { request_number: 1, events: events(1).events, backfill: true };
    let mut client = IngestServiceClient::new(writer);
    let mut answers = client.track_stream(tokio_stream::once(request)).await.expect("a stream").into_inner();
    let status = answers.message().await.expect_err("it has waited in vain");
    assert_eq!(
        (status.code(), reason_of(&status)),
        (Code::ResourceExhausted, Some(ErrorReason::RateLimited))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_call_each_other_with_certificates_and_a_token() {
    let ours = Certificates::make();
    let tokens = Tokens::of(&[("read", ""), ("write", "")]);
    let cluster_token = tokens.folder.path().join("cluster-token");
    std::fs::write(&cluster_token, "cluster-secret\n").expect("written");
    let entry = format!(
        "[[token]]\nname = \"cluster\"\nsha256 = \"{}\"\nroles = [\"read\", \"admin\"]\n",
        hashed("cluster-secret")
    );
    let text = std::fs::read_to_string(tokens.path()).expect("it was written") + &entry;
    std::fs::write(tokens.path(), text).expect("written");
    let redis = Redis::start(&[("appendonly", "yes"), ("appendfsync", "always")]);
    let mut settings = [with_tls(&ours, "server", true), tokens.settings()].concat();
    settings.push("store.partitions=4".to_owned());
    settings.push(format!("cluster.ca={}", ours.path("signer.pem").display()));
    settings.push(format!("cluster.token_file={}", cluster_token.display()));
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let cluster = Cluster::start(&redis.url(), &settings);
    let model = cluster.of("model").next().expect("one").grpc_url();
    let reader = caller(&ours, Some((&ours, "server")), Some("read-secret"));
    let channel = reader.endpoint(model).expect("an address").connect().await.expect("it listens");
    let models = reader.over(channel);
    // Each process watches the models, the model's own from inside; those that were started before it have no other to watch.
    until("the others watch the models", async || nodes(&models).await >= 3).await;
    served(cluster.of("query").next().expect("one").grpc_url(), &reader).await.expect("a reader");
    let path = |name: &str| ours.path(name).display().to_string();
    let (ca, certificate, key) = (path("signer.pem"), path("server.pem"), path("server.key"));
    let address = cluster.address();
    let shown = ["--to", &address, "--ca", &ca, "--cert", &certificate, "--key", &key];
    let probe = [&["probe"], &shown[..]].concat();
    let (well, said) = command(&probe, Some("write-secret"));
    assert!(!well && said.contains("has not the role read"), "{said}");
    let (well, said) = command(&probe, None);
    assert!(!well && said.contains("Unauthenticated"), "{said}");
}

#[test]
fn a_token_is_made_shown_once_and_known_by_its_hash() {
    let (well, said) = command(&["token", "the shop", "--role", "write", "--role", "read"], None);
    assert!(well, "{said}");
    let token =
        said.lines().find_map(|line| line.strip_prefix("for the caller alone, and not shown again: "));
    let token = token.expect("a token").to_owned();
    assert_eq!(said.matches(&token).count(), 1, "{said}");
    let folder = tempfile::tempdir().expect("a folder");
    let (file, alone) = (folder.path().join("tokens.toml"), folder.path().join("token"));
    let entry: Vec<&str> = said.lines().filter(|line| !line.contains(&token)).collect();
    std::fs::write(&file, entry.join("\n")).expect("written");
    std::fs::write(&alone, &token).expect("written");
    let house = SecuredServer::start(&[format!("server.tokens_file={}", file.display())]);
    let probe = ["probe", "--timeout", "20", "--to", house.url()];
    let (well, said) = command(&probe, Some(&token));
    assert!(well, "{said}");
    let alone = alone.display().to_string();
    let by_file = [&probe[..], &["--token-file", &alone]].concat();
    assert!(command(&by_file, None).0);
    let (well, said) = command(&by_file[..5], Some("another"));
    assert!(!well && said.contains("Unauthenticated") && !said.contains("another"), "{said}");
    let settings = format!("cluster.token_file={alone}");
    let (well, said) = command(&["serve", "--dump-config", "--set", &settings], Some(&token));
    assert!(well && said.contains(&alone) && !said.contains(&token), "{said}");
}

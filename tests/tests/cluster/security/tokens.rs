//! Tokens: permissions and rates of the roles, statuses of denied calls, and tokens that are replaced under a running server.

use super::{
    RELOAD, SecuredServer, assert_stays, command, connect_and_query, credentials, events, get_profile_status,
    nodes, with_tls,
};
use portrait_proto::status::reason_of;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::{ErrorReason, TrackStreamRequest, TrainModelRequest};
use portrait_runtime::peer::{Peer, PresentedCredentials};
use portrait_runtime::tokens::hashed;
use portrait_store_redis::testing::{Certificates, Server as Redis};
use portrait_tests::{Cluster, wait_until};
use std::path::PathBuf;
use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_types::StatusExt;

/// Token file in which each token has the name of its role, with optional further keys.
pub(super) struct Tokens {
    folder: TempDir,
}

impl Tokens {
    pub(super) fn of(tokens: &[(&str, &str)]) -> Self {
        let file = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        file.write(tokens);
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("tokens.toml")
    }

    fn write(&self, tokens: &[(&str, &str)]) {
        let entry = |(role, extra): &(&str, &str)| {
            let hash = hashed(&format!("{role}-secret"));
            format!("[[token]]\nname = \"{role}\"\nsha256 = \"{hash}\"\nroles = [\"{role}\"]\n{extra}\n")
        };
        let text: String = tokens.iter().map(entry).collect();
        // Renamed into place, so that the server never reads a partial file.
        let draft = self.folder.path().join("draft");
        std::fs::write(&draft, text).expect("written");
        std::fs::rename(draft, self.path()).expect("moved");
    }

    /// Adds a token `NAME-secret` with a list of roles.
    pub(super) fn add(&self, name: &str, roles: &str) {
        let hash = hashed(&format!("{name}-secret"));
        let entry = format!("[[token]]\nname = {name:?}\nsha256 = {hash:?}\nroles = {roles}\n");
        let text = std::fs::read_to_string(self.path()).expect("a readable file") + &entry;
        std::fs::write(self.path(), text).expect("written");
    }

    pub(super) fn settings(&self) -> Vec<String> {
        vec![RELOAD.to_owned(), format!("server.tokens_file={}", self.path().display())]
    }
}

/// Connects with an optional token.
pub(super) async fn connect_with(server: &SecuredServer, token: Option<&str>) -> Peer {
    let presented = PresentedCredentials::default();
    let presented = match token {
        Some(token) => presented.with_token(token).expect("a token"),
        None => presented,
    };
    let channel = presented.endpoint(server.url()).expect("an address").connect().await.expect("it listens");
    presented.over(channel)
}

pub(super) async fn track(peer: &Peer, count: usize) -> Result<(), Status> {
    IngestServiceClient::new(peer.clone()).track(events(count)).await.map(drop)
}

async fn train(peer: &Peer) -> Result<(), Status> {
    ModelServiceClient::new(peer.clone()).train_model(TrainModelRequest::default()).await.map(drop)
}

async fn reflect(peer: &Peer) -> Result<(), Status> {
    let request = tokio_stream::once(ServerReflectionRequest::default());
    ServerReflectionClient::new(peer.clone()).server_reflection_info(request).await.map(drop)
}

fn code<T>(response: &Result<T, Status>) -> Code {
    response.as_ref().err().map_or(Code::Ok, Status::code)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_permits_its_methods_and_a_denial_names_the_missing_role() {
    let tokens = Tokens::of(&[("write", ""), ("read", ""), ("admin", "")]);
    let server = SecuredServer::start(&tokens.settings());
    let (ok, denied, unknown) = (Code::Ok, Code::PermissionDenied, Code::Unauthenticated);
    // Expected codes of: write, read of an unknown user, training, reflection.
    let rows = [
        (None, [unknown, unknown, unknown, unknown]),
        (Some("unknown-secret"), [unknown, unknown, unknown, unknown]),
        (Some("write-secret"), [ok, denied, denied, ok]),
        (Some("read-secret"), [denied, Code::NotFound, denied, ok]),
        (Some("admin-secret"), [denied, denied, ok, ok]),
    ];
    for (token, expected) in rows {
        let peer = connect_with(&server, token).await;
        let responses = [
            track(&peer, 1).await,
            get_profile_status(&peer).await,
            train(&peer).await,
            reflect(&peer).await,
        ];
        assert_eq!(responses.each_ref().map(code), expected, "{token:?}");
        for status in responses.into_iter().filter_map(Result::err) {
            let reason = match status.code() {
                Code::Unauthenticated => ErrorReason::Unauthenticated,
                Code::PermissionDenied => ErrorReason::PermissionDenied,
                _ => continue,
            };
            assert_eq!(reason_of(&status), Some(reason), "{status}");
            assert!(!status.message().contains("secret"), "{status}");
        }
        // Load balancers check the health without a token.
        HealthClient::new(peer)
            .check(HealthCheckRequest::default())
            .await
            .expect("health checks need no token");
    }
    let reader = connect_with(&server, Some("read-secret")).await;
    let status = track(&reader, 1).await.expect_err("a reader");
    assert!(status.message().contains("lacks the role write"), "{status}");
    // Calls between services inside the process need no token.
    wait_until("the process watches its own models", async || nodes(&reader).await == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_token_is_refused_and_an_invalid_file_is_ignored() {
    let tokens = Tokens::of(&[("write", ""), ("read", "")]);
    let server = SecuredServer::start(&tokens.settings());
    let (writer, reader) =
        (connect_with(&server, Some("write-secret")).await, connect_with(&server, Some("read-secret")).await);
    track(&writer, 1).await.expect("a writer");
    tokens.write(&[("read", "")]);
    wait_until("the writer is refused", async || code(&track(&writer, 1).await) == Code::Unauthenticated)
        .await;
    assert_eq!(code(&get_profile_status(&reader).await), Code::NotFound);
    tokens.write(&[("cook", "")]);
    assert_stays(async || code(&get_profile_status(&reader).await) == Code::NotFound).await;
    tokens.write(&[("write", ""), ("admin", "")]);
    wait_until("the writer is accepted again", async || track(&writer, 1).await.is_ok()).await;
    assert_eq!(code(&get_profile_status(&reader).await), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_limited_to_its_rate_and_gets_a_retry_delay() {
    let tokens = Tokens::of(&[("write", "events_per_second = 10"), ("read", "calls_per_second = 1")]);
    let mut settings = tokens.settings();
    settings.push("ingest.stream_wait_max=50ms".to_owned());
    let server = SecuredServer::start(&settings);
    let (writer, reader) =
        (connect_with(&server, Some("write-secret")).await, connect_with(&server, Some("read-secret")).await);
    track(&writer, 1000).await.expect("a batch is never split by the limit");
    assert_eq!(code(&get_profile_status(&reader).await), Code::NotFound);
    for (status, seconds) in [(track(&writer, 1).await, 90..=100), (get_profile_status(&reader).await, 0..=1)]
    {
        let status = status.expect_err("over the limit");
        assert_eq!(
            (status.code(), reason_of(&status)),
            (Code::ResourceExhausted, Some(ErrorReason::RateLimited))
        );
        let wait = status.get_details_retry_info().and_then(|info| info.retry_delay).expect("a retry delay");
        assert!(seconds.contains(&wait.as_secs()), "{wait:?}");
    }
    let request = TrackStreamRequest { request_number: 1, events: events(1).events, backfill: true };
    let mut client = IngestServiceClient::new(writer);
    let mut responses =
        client.track_stream(tokio_stream::once(request)).await.expect("a stream").into_inner();
    let status = responses.message().await.expect_err("the wait exceeds ingest.stream_wait_max");
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
    let text = std::fs::read_to_string(tokens.path()).expect("a readable file") + &entry;
    std::fs::write(tokens.path(), text).expect("written");
    let redis = Redis::start(&[("appendonly", "yes"), ("appendfsync", "always")]);
    let mut settings = [with_tls(&ours, "server", true), tokens.settings()].concat();
    settings.push("store.partitions=4".to_owned());
    settings.push(format!("cluster.ca={}", ours.path("signer.pem").display()));
    settings.push(format!("cluster.token_file={}", cluster_token.display()));
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let cluster = Cluster::start(&redis.url(), &settings);
    let model = cluster.servers_of("model").next().expect("one").grpc_url();
    let reader = credentials(&ours, Some((&ours, "server")), Some("read-secret"));
    let channel = reader.endpoint(model).expect("an address").connect().await.expect("it listens");
    let models = reader.over(channel);
    // Every process watches the models, the model process itself in-process; processes started before it have no address to watch.
    wait_until("the other processes watch the models", async || nodes(&models).await >= 3).await;
    connect_and_query(cluster.servers_of("query").next().expect("one").grpc_url(), &reader)
        .await
        .expect("a reader");
    let path = |name: &str| ours.path(name).display().to_string();
    let ca = path("signer.pem");
    let certificate = path("server.pem");
    let key = path("server.key");
    let address = cluster.address();
    let flags = ["--to", &address, "--ca", &ca, "--cert", &certificate, "--key", &key];
    let probe = [&["probe"], &flags[..]].concat();
    let (success, message) = command(&probe, Some("write-secret"));
    assert!(!success && message.contains("lacks the role read"), "{message}");
    let (success, message) = command(&probe, None);
    assert!(!success && message.contains("the call has no token"), "{message}");
}

#[test]
fn a_token_is_generated_shown_once_and_stored_as_a_hash() {
    let (success, message) = command(&["token", "the shop", "--role", "write", "--role", "read"], None);
    assert!(success, "{message}");
    let token = message.lines().find_map(|line| line.strip_prefix("secret of the caller, shown only once: "));
    let token = token.expect("a token").to_owned();
    assert_eq!(message.matches(&token).count(), 1, "{message}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("tokens.toml");
    let token_file = folder.path().join("token");
    let entry: Vec<&str> = message.lines().filter(|line| !line.contains(&token)).collect();
    std::fs::write(&file, entry.join("\n")).expect("written");
    std::fs::write(&token_file, &token).expect("written");
    let server = SecuredServer::start(&[format!("server.tokens_file={}", file.display())]);
    let probe = ["probe", "--timeout", "20", "--to", server.url()];
    let (success, message) = command(&probe, Some(&token));
    assert!(success, "{message}");
    let token_file = token_file.display().to_string();
    let by_file = [&probe[..], &["--token-file", &token_file]].concat();
    assert!(command(&by_file, None).0);
    let (success, message) = command(&by_file[..5], Some("another"));
    assert!(
        !success && message.contains("the token is not known") && !message.contains("another"),
        "{message}"
    );
    let settings = format!("cluster.token_file={token_file}");
    let (success, message) = command(&["serve", "--dump-config", "--set", &settings], Some(&token));
    assert!(success && message.contains(&token_file) && !message.contains(&token), "{message}");
}

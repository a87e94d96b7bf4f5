//! Security of the gRPC port: TLS, client certificates, tokens and limits against abusive clients. This module has the shared helpers.

mod certificates;
mod pressure;
mod readers;
mod shares;
mod tokens;

use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{Action, Event, GetProfileRequest, ListModelsRequest, TrackRequest};
use portrait_runtime::peer::{CredentialKeys, Credentials, Peer, PresentedCredentials};
use portrait_store_redis::testing::Certificates;
use portrait_tests::{Server, portrait_command};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tonic::{Code, Status};

/// Reload interval of the servers in these tests, as a setting.
const RELOAD: &str = "server.reload_interval=20ms";
/// Reload interval of the servers in these tests.
const RELOAD_EVERY: Duration = Duration::from_millis(20);
/// Names of the credential files in error messages.
const KEYS: CredentialKeys =
    CredentialKeys { ca: "ca", certificate: "certificate", key: "key", token_file: "token" };

/// Server with all roles in one process, and the folder of its store.
struct SecuredServer {
    process: Server,
    _data: TempDir,
}

impl SecuredServer {
    /// Starts a server; `settings` are entries such as `server.max_calls=1`.
    fn start(settings: &[String]) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        Self { process: Server::start(data.path(), &arguments), _data: data }
    }

    fn url(&self) -> &str {
        self.process.grpc_url()
    }
}

/// TLS settings of a server with the certificate `NAME.pem`; with `client_auth` clients need a certificate.
fn with_tls(certificates: &Certificates, name: &str, client_auth: bool) -> Vec<String> {
    let path = |file: &str| certificates.path(file).display().to_string();
    let mut settings = vec![
        RELOAD.to_owned(),
        format!("server.tls_certificate={}", path(&format!("{name}.pem"))),
        format!("server.tls_key={}", path(&format!("{name}.key"))),
    ];
    settings.extend(client_auth.then(|| format!("server.tls_client_ca={}", path("signer.pem"))));
    settings
}

/// Credentials of a client that trusts `signer`: the certificate `NAME.pem` and a token, both optional.
fn credentials(
    signer: &Certificates,
    of: Option<(&Certificates, &str)>,
    token: Option<&str>,
) -> PresentedCredentials {
    let file = |end: &str| of.map(|(made, name)| made.path(&format!("{name}.{end}"))).unwrap_or_default();
    let none = Path::new("");
    let (certificate, key): (PathBuf, PathBuf) = (file("pem"), file("key"));
    let credentials = Credentials::of(KEYS, &signer.path("signer.pem"), (&certificate, &key), none);
    let presented = credentials.expect("both or neither").read().expect("readable files");
    match token {
        Some(token) => presented.with_token(token).expect("a token"),
        None => presented,
    }
}

/// Connects and reads an unknown profile; succeeds if the server responds with NOT_FOUND.
async fn connect_and_query(url: &str, presented: &PresentedCredentials) -> Result<Peer, String> {
    let endpoint = presented.endpoint(url).map_err(|error| error.to_string())?;
    let channel = endpoint.connect().await.map_err(|error| format!("{error:?}"))?;
    let peer = presented.over(channel);
    match get_profile_status(&peer).await {
        Err(status) if status.code() == Code::NotFound => Ok(peer),
        Err(status) => Err(format!("{status:?}")),
        Ok(()) => Err("an unknown user has a profile".to_owned()),
    }
}

/// Reads the profile of an unknown user.
async fn get_profile_status(peer: &Peer) -> Result<(), Status> {
    let request = GetProfileRequest { user_id: "unknown-user".to_owned(), ..Default::default() };
    QueryServiceClient::new(peer.clone()).get_profile(request).await.map(drop)
}

/// Number of nodes that watch the models.
async fn nodes(peer: &Peer) -> usize {
    let response = ModelServiceClient::new(peer.clone()).list_models(ListModelsRequest::default()).await;
    response.map_or(0, |response| response.get_ref().nodes.len())
}

/// Asserts that a condition holds for five reload intervals.
async fn assert_stays(mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while started.elapsed() < RELOAD_EVERY * 5 {
        assert!(condition().await, "the condition does not hold any more");
    }
}

/// One event each of `count` users.
fn events(count: usize) -> TrackRequest {
    let event = |number: usize| Event {
        user_id: format!("u{number}"),
        action: Action::View.into(),
        occurred_at: Some(prost_types::Timestamp { seconds: 1_767_225_600, nanos: 0 }),
        ..Default::default()
    };
    TrackRequest { events: (0..count).map(event).collect(), backfill: true }
}

/// Runs a command; returns its success and its output.
fn command(arguments: &[&str], token: Option<&str>) -> (bool, String) {
    let mut command = portrait_command();
    if let Some(token) = token {
        command.env("PORTRAIT_TOKEN", token);
    }
    let output = command.args(arguments).output().expect("a running process");
    let message = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&message).into_owned())
}

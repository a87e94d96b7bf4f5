//! The gRPC port as strangers and friends see it: who is let in, who is not and what each is told, and that whoever wears a server
//! down wears down nobody else. What the tests share is here.

mod certificates;
mod pressure;
mod tokens;

use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{Action, Event, GetProfileRequest, ListModelsRequest, TrackRequest};
use portrait_runtime::peer::{Credentials, CredentialKeys, Peer, PresentedCredentials};
use portrait_store_redis::testing::Certificates;
use portrait_tests::{Server, portrait_command};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tonic::{Code, Status};

/// How soon a server of these tests sees that a file has changed.
const RELOAD: &str = "server.reload_every=20ms";
/// The same.
const RELOAD_EVERY: Duration = Duration::from_millis(20);
/// What messages call the files of a caller.
const KEYS: CredentialKeys = CredentialKeys { ca: "ca", certificate: "certificate", key: "key", token_file: "token" };

/// A server with everything in one process, and the folder of its store.
struct SecuredServer {
    server: Server,
    _data: TempDir,
}

impl SecuredServer {
    /// Starts one, with `settings` as `server.max_calls=1`.
    fn start(settings: &[String]) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        Self { server: Server::start(data.path(), &arguments), _data: data }
    }

    fn url(&self) -> &str {
        self.server.grpc_url()
    }
}

/// What a server is set to that shows `NAME.pem`, and asks callers for a certificate if it is to.
fn with_tls(certificates: &Certificates, name: &str, asks: bool) -> Vec<String> {
    let path = |file: &str| certificates.path(file).display().to_string();
    let mut settings = vec![
        RELOAD.to_owned(),
        format!("server.tls_certificate={}", path(&format!("{name}.pem"))),
        format!("server.tls_key={}", path(&format!("{name}.key"))),
    ];
    settings.extend(asks.then(|| format!("server.tls_client_ca={}", path("signer.pem"))));
    settings
}

/// What a caller shows: the certificate `NAME.pem`, and a token. It trusts whom `signer` is.
fn caller(signer: &Certificates, of: Option<(&Certificates, &str)>, token: Option<&str>) -> PresentedCredentials {
    let file = |end: &str| of.map(|(made, name)| made.path(&format!("{name}.{end}"))).unwrap_or_default();
    let none = Path::new("");
    let (certificate, key): (PathBuf, PathBuf) = (file("pem"), file("key"));
    let credentials = Credentials::of(KEYS, &signer.path("signer.pem"), (&certificate, &key), none);
    let presented = credentials.expect("both or neither").read().expect("files that were made");
    match token {
        Some(token) => presented.with_token(token).expect("a token"),
        None => presented,
    }
}

/// Connects anew and asks for a profile that there is not; whether that is what is told.
async fn served(url: &str, presented: &PresentedCredentials) -> Result<Peer, String> {
    let endpoint = presented.endpoint(url).map_err(|error| error.to_string())?;
    let channel = endpoint.connect().await.map_err(|error| format!("{error:?}"))?;
    let peer = presented.over(channel);
    match asked(&peer).await {
        Err(status) if status.code() == Code::NotFound => Ok(peer),
        Err(status) => Err(format!("{status:?}")),
        Ok(()) => Err("nobody has such a profile".to_owned()),
    }
}

/// Asks for a profile that there is not.
async fn asked(peer: &Peer) -> Result<(), Status> {
    let request = GetProfileRequest { user_id: "nobody".to_owned(), ..Default::default() };
    QueryServiceClient::new(peer.clone()).get_profile(request).await.map(drop)
}

/// How many processes watch the models.
async fn nodes(peer: &Peer) -> usize {
    let answer = ModelServiceClient::new(peer.clone()).list_models(ListModelsRequest::default()).await;
    answer.map_or(0, |answer| answer.get_ref().nodes.len())
}

/// Looks for as long as a server needs to see several times that a file has changed: nothing may come of it.
async fn holds(mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < RELOAD_EVERY * 5 {
        assert!(so().await, "something came of it");
    }
}

/// Events of as many shoppers.
fn events(count: usize) -> TrackRequest {
    let event = |number: usize| Event {
        user_id: format!("u{number}"),
        action: Action::View.into(),
        occurred_at: Some(prost_types::Timestamp { seconds: 1_767_225_600, nanos: 0 }),
        ..Default::default()
    };
    TrackRequest { events: (0..count).map(event).collect(), backfill: true }
}

/// What a command said, and whether it went well.
fn command(arguments: &[&str], token: Option<&str>) -> (bool, String) {
    let mut command = portrait_command();
    if let Some(token) = token {
        command.env("PORTRAIT_TOKEN", token);
    }
    let output = command.args(arguments).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

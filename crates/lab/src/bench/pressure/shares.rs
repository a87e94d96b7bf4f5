//! Latency of another caller's `GetProfile` beside one caller who holds all that it can get: unfinished messages with a deadline of
//! eleven thousand years, subscriptions and streams, and the smallest entries that fill a request, on every method of the API;
//! with a token of every role, and without one.

use super::figure::{PressureFigure, USERS, p99_ms, reads};
use super::message::{SLOW_WRITE_INTERVAL, announced_message, compressed_message};
use crate::bench::env::BenchEnv;
use crate::bench::figure::Figure;
use crate::bench::load;
use crate::bench::pairs::PAIRS;
use crate::bench::predictions::CALLS_PER_SECOND;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::{ready, try_join_all};
use futures::stream::{once, pending};
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use portrait_client::{self as client, RoleRouter};
use portrait_node::{Node, NodeRole};
use portrait_proto::methods::{self, ApiMethod};
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_runtime::peer::PresentedCredentials;
use portrait_runtime::tokens;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;
use tower::ServiceExt;

/// Connections of the abusive caller.
const CONNECTIONS: usize = 8;
/// Calls that it tries to hold on each connection: together more than all that a server has.
const CALLS_PER_CONNECTION: usize = 160;
/// Pause of a place that was refused until it tries again. The places try one after the other, not all at once: what is measured is what
/// they hold, and not a flood of calls.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Longest deadline that the header can express.
const DEADLINE: &str = "99999999H";
/// Unpacked size of the messages of small entries: default of `ingest.max_request`, the largest of all services.
const REQUEST_BYTES: usize = 8 << 20;

/// Caller of an attack.
#[derive(Clone, Copy)]
enum Abuser {
    WithToken,
    WithoutToken,
}

/// Frames of an attack, made once.
struct Frames {
    methods: Vec<ApiMethod>,
    unfinished: Bytes,
    /// Empty message, which opens subscriptions and streams.
    empty: Bytes,
    /// Path and compressed message of empty entries, for each repeated field of each method.
    entries: Vec<(String, Bytes)>,
}

/// Abusive caller, until it is dropped.
struct Abuse {
    refused: Arc<AtomicU64>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// Measures reads of one caller beside the abusive one and alone.
pub(super) async fn measure(seconds: u64, env: &BenchEnv, figures: &mut Vec<Figure>) -> Result<()> {
    let tokens = tempfile::NamedTempFile::new()?;
    std::fs::write(tokens.path(), tokens_file())?;
    let store = env.new_store().await?;
    let mut config = store.config();
    config.server.tokens_file = tokens.path().to_owned();
    let node = Node::start(NodeRole::All, config).await?;
    let channel = connect(&node, Some("other")).await?;
    let events = load::distinct_users(USERS);
    client::send_all(channel.clone(), &events).await?;
    client::wait_until_applied(channel.clone()).await?;
    let user_ids: Vec<String> = events.into_iter().map(|event| event.user_id).collect();
    let query = QueryServiceClient::new(channel);
    let frames = Arc::new(Frames::new()?);
    for abuser in [Abuser::WithToken, Abuser::WithoutToken] {
        let (mut quiet, mut loaded, mut refused) = (Vec::new(), Vec::new(), 0);
        for _ in 0..PAIRS {
            quiet.push(p99_ms(&reads(&query, &user_ids, Duration::from_secs(seconds)).await?));
            let abuse = Abuse::start(&node, abuser, &frames).await?;
            loaded.push(p99_ms(&reads(&query, &user_ids, Duration::from_secs(seconds)).await?));
            refused += abuse.refused.load(Ordering::Relaxed);
        }
        figures.push(PressureFigure { path: abuser.path(), quiet, loaded, refused, what: "calls" }.into());
    }
    node.stop().await?;
    Ok(())
}

/// Tokens of two callers with every role; the rate of the abusive one does not protect the other.
fn tokens_file() -> String {
    ["other", "abuser"].into_iter().fold(String::new(), |mut file, name| {
        let hash = tokens::hashed(name);
        let entry = format!(
            "[[token]]\nname = {name:?}\nsha256 = {hash:?}\nroles = [\"read\", \"write\", \"admin\"]\n"
        );
        let _ = file.write_str(&entry);
        file
    })
}

async fn connect(node: &Node, token: Option<&str>) -> Result<RoleRouter> {
    let presented = PresentedCredentials::default();
    let presented = match token {
        Some(token) => presented.with_token(token).map_err(anyhow::Error::msg)?,
        None => presented,
    };
    Ok(RoleRouter::connect(&node.grpc_url(), &presented).await?)
}

impl Abuser {
    fn token(self) -> Option<&'static str> {
        match self {
            Self::WithToken => Some("abuser"),
            Self::WithoutToken => None,
        }
    }

    fn path(self) -> String {
        let who = match self {
            Self::WithToken => "a caller with every role",
            Self::WithoutToken => "a caller without a token",
        };
        format!(
            "`GetProfile`, {CALLS_PER_SECOND} calls/s, beside {who}: {} unfinished calls and streams with endless deadlines on every \
             method, and requests full of the smallest entries, {PAIRS} pairs of runs",
            CONNECTIONS * CALLS_PER_CONNECTION
        )
    }
}

impl Frames {
    fn new() -> Result<Self> {
        let methods = methods::all();
        let mut entries = Vec::new();
        for ApiMethod { path, repeated } in &methods {
            for number in repeated {
                // Key of a field with a length, and the length 0.
                let mut entry = Vec::new();
                prost::encoding::encode_varint(u64::from(*number << 3 | 2), &mut entry);
                entry.push(0);
                entries.push((path.clone(), compressed_message(&entry, REQUEST_BYTES)?));
            }
        }
        Ok(Self { methods, unfinished: announced_message(), empty: Bytes::from_static(&[0; 5]), entries })
    }
}

impl Abuse {
    async fn start(node: &Node, abuser: Abuser, frames: &Arc<Frames>) -> Result<Self> {
        let refused = Arc::new(AtomicU64::new(0));
        let peers = try_join_all((0..CONNECTIONS).map(|_| connect(node, abuser.token()))).await?;
        let mut tasks = Vec::new();
        for (index, peer) in (0..CALLS_PER_CONNECTION).flat_map(|_| &peers).enumerate() {
            tasks.push(hold(peer.clone(), index, Arc::clone(frames), Arc::clone(&refused)));
        }
        let peer = peers.first().context("a connection")?.clone();
        tasks.push(send_entries(peer, Arc::clone(frames), Arc::clone(&refused)));
        ensure!(!frames.entries.is_empty(), "no method has a repeated field");
        Ok(Self { refused, _tasks: tasks })
    }
}

/// Holds a place of one method after the other, every second time with a complete message.
fn hold(
    peer: RoleRouter,
    index: usize,
    frames: Arc<Frames>,
    refused: Arc<AtomicU64>,
) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let places = CONNECTIONS * CALLS_PER_CONNECTION;
        tokio::time::sleep(
            RETRY_INTERVAL * u32::try_from(index).unwrap_or(0) / u32::try_from(places).unwrap_or(1),
        )
        .await;
        let messages = [&frames.unfinished, &frames.empty];
        for (method, frame) in frames.methods.iter().cycle().zip(messages.into_iter().cycle()).skip(index) {
            count(call(&peer, &method.path, None, frame).await.as_ref(), &refused);
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }))
}

fn send_entries(peer: RoleRouter, frames: Arc<Frames>, refused: Arc<AtomicU64>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        for (path, message) in frames.entries.iter().cycle() {
            // A stream that is accepted stays open, and its message is refused or decoded by then.
            let call = call(&peer, path, Some("gzip"), message);
            if let Ok(status) = tokio::time::timeout(SLOW_WRITE_INTERVAL, call).await {
                count(status.as_ref(), &refused);
            }
            tokio::time::sleep(SLOW_WRITE_INTERVAL).await;
        }
    }))
}

fn count(status: Option<&Status>, refused: &AtomicU64) {
    if status.is_some() {
        refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// Calls a method with a body that never ends; returns the status if the call was refused. A call that is accepted lasts as long as
/// the server keeps it.
async fn call(peer: &RoleRouter, path: &str, encoding: Option<&str>, message: &Bytes) -> Option<Status> {
    let mut request = Request::post(format!("http://portrait{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", DEADLINE);
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let first = once(ready(Ok::<_, Infallible>(Frame::data(message.clone()))));
    let body = tonic::body::Body::new(StreamBody::new(first.chain(pending())));
    let response = peer.clone().oneshot(request.body(body).ok()?).await.ok()?;
    match Status::from_header_map(response.headers()) {
        Some(status) => Some(status),
        None => Status::from_header_map(response.into_body().collect().await.ok()?.trailers()?),
    }
}

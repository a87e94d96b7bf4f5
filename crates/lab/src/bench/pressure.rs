//! Latency of `GetProfile` under slow and abusive clients, in pairs of runs: thousands of silent connections, some
//! that send a byte at a time, messages that announce a gigabyte, messages that decompress to half of one, and messages of millions
//! of empty events; and beside one caller who holds all that it can get. All of them are created in this process, so that the cost of
//! the attack counts as well.

mod figure;
mod message;
mod shares;

use self::figure::{PressureFigure, USERS, p99_ms, reads};
use self::message::{SLOW_WRITE_INTERVAL, announced_message, compressed_message};
use super::env::BenchEnv;
use super::figure::Figure;
use super::load;
use super::pairs::PAIRS;
use super::predictions::CALLS_PER_SECOND;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::{ready, try_join_all};
use futures::stream::{once, pending};
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use portrait_client::{self as client, RoleRouter};
use portrait_node::{Node, NodeRole};
use portrait_proto::v1::query_service_client::QueryServiceClient;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::convert::Infallible;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status};
use tower::ServiceExt;

/// Connections that send nothing.
const SILENT_CONNECTIONS: usize = 10_000;
/// Connections that send one byte at a time.
const SLOW_CONNECTIONS: usize = 64;
/// Connection preface of HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Decompressed size of the compressed message.
const UNPACKED_BYTES: usize = 512 << 20;
/// Decompressed size of the message of empty events, which a request may have.
const EMPTY_EVENTS_BYTES: usize = 8 << 20;
/// Content encoding and start of a message that is too large.
type LargeRequests = (Option<&'static str>, Bytes);

/// Measures reads with the abusive clients and without.
pub(super) async fn measure(seconds: u64, env: &BenchEnv, figures: &mut Vec<Figure>) -> Result<()> {
    raise_file_limit()?;
    let store = env.new_store().await?;
    let node = Node::start(NodeRole::All, store.config()).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    let events = load::distinct_users(USERS);
    client::send_all(channel.clone(), &events).await?;
    client::wait_until_applied(channel.clone()).await?;
    let user_ids: Vec<String> = events.into_iter().map(|event| event.user_id).collect();
    // Zeros compress a thousandfold: a small message that passes a limit on compressed size.
    let zeros = compressed_message(&[0], UNPACKED_BYTES)?;
    // Field 1 of length 0, millions of times.
    let empty_events = compressed_message(&[0x0a, 0], EMPTY_EVENTS_BYTES)?;
    let messages = [(None, announced_message()), (Some("gzip"), zeros), (Some("gzip"), empty_events)];

    let query = QueryServiceClient::new(channel);
    let duration = Duration::from_secs(seconds);
    let mut quiet = Vec::new();
    let mut loaded = Vec::new();
    let mut refused = 0;
    for _ in 0..PAIRS {
        // Quiet and loaded runs alternate, so that load from elsewhere hits both.
        quiet.push(p99_ms(&reads(&query, &user_ids, duration).await?));
        let pressure = PressureLoad::start(&node.grpc_url(), &messages).await?;
        loaded.push(p99_ms(&reads(&query, &user_ids, duration).await?));
        refused += pressure.end().await?;
    }
    node.stop().await?;
    let path = format!(
        "`GetProfile`, {CALLS_PER_SECOND} calls/s, beside {SILENT_CONNECTIONS} silent connections, {SLOW_CONNECTIONS} slow ones, \
         messages of a gigabyte and of millions of empty events, {PAIRS} pairs of runs"
    );
    figures.push(PressureFigure { path, quiet, loaded, refused, what: "messages" }.into());
    shares::measure(seconds, env, figures).await
}

/// Raises the limit of open files to the maximum that this process may have.
fn raise_file_limit() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    // A connection within the process has two ends.
    let enough = maximum.is_none_or(|files| files >= 2 * SILENT_CONNECTIONS as u64);
    ensure!(
        enough,
        "{maximum:?} files may be open, {} are needed: raise `ulimit -Hn`",
        2 * SILENT_CONNECTIONS
    );
    Ok(())
}

/// Abusive clients, until they are dropped.
struct PressureLoad {
    _silent: Vec<TcpStream>,
    _slow: Vec<AbortOnDropHandle<()>>,
    large: AbortOnDropHandle<Result<u64>>,
    stop: CancellationToken,
}

impl PressureLoad {
    async fn start(url: &str, messages: &[LargeRequests]) -> Result<Self> {
        let address = url.split_once("://").context("no URL")?.1.to_owned();
        let mut silent = Vec::with_capacity(SILENT_CONNECTIONS);
        // A hundred at a time stays within the accept backlog of the listener.
        while silent.len() < SILENT_CONNECTIONS {
            silent.extend(try_join_all((0..100).map(|_| TcpStream::connect(&address))).await?);
        }
        let slow =
            (0..SLOW_CONNECTIONS).map(|_| AbortOnDropHandle::new(tokio::spawn(send_slowly(address.clone()))));
        let stop = CancellationToken::new();
        let large = send_large(client::connect(url).await?, messages.to_vec(), stop.clone());
        Ok(Self {
            _silent: silent,
            _slow: slow.collect(),
            large: AbortOnDropHandle::new(tokio::spawn(large)),
            stop,
        })
    }

    /// Stops the clients; returns the number of refused messages. Fails if one was not refused, or not with the
    /// documented status.
    async fn end(self) -> Result<u64> {
        self.stop.cancel();
        self.large.await?
    }
}

/// Sends the HTTP/2 preface byte by byte, and reconnects when the server closes the connection.
async fn send_slowly(address: String) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(&address).await {
            for byte in &PREFACE[..PREFACE.len() - 1] {
                if stream.write_all(&[*byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(SLOW_WRITE_INTERVAL).await;
            }
        }
        tokio::time::sleep(SLOW_WRITE_INTERVAL).await;
    }
}

async fn send_large(
    channel: RoleRouter,
    messages: Vec<LargeRequests>,
    stop: CancellationToken,
) -> Result<u64> {
    let mut refused = 0;
    for (encoding, message) in messages.iter().cycle() {
        let pause = tokio::time::sleep(SLOW_WRITE_INTERVAL);
        if stop.run_until_cancelled(pause).await.is_none() {
            break;
        }
        // Plain HTTP/2: a generated client cannot announce a length that it does not send.
        let mut request = Request::post("http://portrait/portrait.v1.IngestService/Track")
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(encoding) = encoding {
            request = request.header("grpc-encoding", *encoding);
        }
        // The body never ends: the server must refuse without waiting for it.
        let first = once(ready(Ok::<_, Infallible>(Frame::data(message.clone()))));
        let body = tonic::body::Body::new(StreamBody::new(first.chain(pending())));
        let response = channel.clone().oneshot(request.body(body)?).await?;
        let status = Status::from_header_map(response.headers()).context("the message was not refused")?;
        ensure!(
            status.code() == Code::InvalidArgument,
            "the message was refused with another status: {status}"
        );
        refused += 1;
    }
    Ok(refused)
}

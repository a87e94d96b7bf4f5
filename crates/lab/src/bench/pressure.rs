//! What a friend of the server waits while others wear it down, in pairs of runs: thousands of connections that say nothing, some that
//! never finish a sentence, messages that announce a gigabyte and such that unpack to half of one. All of it comes out of this process,
//! so that what it costs to do harm counts as well.

use super::answers::{self, CALLS_PER_SECOND};
use super::figure::Figure;
use super::ground::Ground;
use super::load;
use super::pairs::{self, PAIRS};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt;
use futures::future::{ready, try_join_all};
use futures::stream::{once, pending};
use hdrhistogram::Histogram;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use portrait_client::{self as client, Line};
use portrait_node::{Node, Role};
use portrait_proto::v1::GetProfileRequest;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::convert::Infallible;
use std::io::Write;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status};
use tower::ServiceExt;

/// Connections that say nothing.
const SILENT: usize = 10_000;
/// Connections that say a letter now and then.
const SLOW: usize = 64;
/// How long they think about the next, and how often a message comes that is too large.
const NOW_AND_THEN: Duration = Duration::from_millis(100);
/// What every connection of HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What a message unpacks to.
const UNPACKED_BYTES: usize = 512 << 20;
/// What another says it is long.
const ANNOUNCED_BYTES: u32 = 1 << 30;
/// Of how many shoppers profiles are asked for.
const SHOPPERS: usize = 10_000;

/// A message that is too large, and in which encoding it comes.
type Large = (Option<&'static str>, Bytes);

/// Measures.
pub(super) async fn measure(seconds: u64, ground: &Ground, figures: &mut Vec<Figure>) -> Result<()> {
    make_room()?;
    let fresh = ground.fresh().await?;
    let node = Node::start(Role::All, fresh.config()).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    let events = load::distinct_users(SHOPPERS);
    client::send_all(channel.clone(), &events).await?;
    client::wait_until_applied(channel.clone()).await?;
    let user_ids: Vec<String> = events.into_iter().map(|event| event.user_id).collect();
    let messages = [(None, announced()), (Some("gzip"), packed()?)];

    let query = QueryServiceClient::new(channel);
    let long = Duration::from_secs(seconds);
    let (mut quiet, mut pressed, mut refused) = (Vec::new(), Vec::new(), 0);
    for _ in 0..PAIRS {
        quiet.push(p99_ms(&reads(&query, &user_ids, long).await?));
        let pressure = Pressure::put(&node.grpc_url(), &messages).await?;
        pressed.push(p99_ms(&reads(&query, &user_ids, long).await?));
        refused += pressure.end().await?;
    }
    node.stop().await?;
    let ratio = pairs::ratio(&pressed, &quiet, |p99| *p99);
    let (pressed, quiet) = (pairs::mean(&pressed, |p99| *p99), pairs::mean(&quiet, |p99| *p99));
    figures.push(Figure {
        path: format!(
            "`GetProfile`, {CALLS_PER_SECOND} calls/s, beside {SILENT} connections that say nothing, {SLOW} that never end a sentence, and \
             messages of a gigabyte, {PAIRS} pairs of runs"
        ),
        measured: format!("p99 {pressed:.1} ms, {refused} messages refused"),
        beside: format!("alone: p99 {quiet:.1} ms; ratio {:.2} ± {:.2}", ratio.mean, ratio.spread),
        ratio: Some(ratio.mean),
        values: [
            ("p99_ms", pressed),
            ("p99_ms_alone", quiet),
            ("ratio_spread", ratio.spread),
            ("refused", refused as f64),
        ]
        .into(),
        target: "p99 <= 50 ms",
        met: pressed <= 50.0 && refused > 0,
    });
    Ok(())
}

/// Lets this process have as many connections as it may.
fn make_room() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let enough = maximum.is_none_or(|files| files >= 2 * SILENT as u64);
    ensure!(enough, "{maximum:?} files may be open, {} are needed: raise `ulimit -Hn`", 2 * SILENT);
    Ok(())
}

async fn reads(
    query: &QueryServiceClient<Line>,
    user_ids: &[String],
    long: Duration,
) -> Result<Histogram<u64>> {
    answers::evenly(long, async |number| {
        let user_id = user_ids[number % user_ids.len()].clone();
        query.clone().get_profile(GetProfileRequest { user_id, ..Default::default() }).await?;
        Ok(())
    })
    .await
}

fn p99_ms(histogram: &Histogram<u64>) -> f64 {
    histogram.value_at_quantile(0.99) as f64 / 1000.0
}

/// Those who wear the server down, until they are ended.
struct Pressure {
    _silent: Vec<TcpStream>,
    _slow: Vec<AbortOnDropHandle<()>>,
    large: AbortOnDropHandle<Result<u64>>,
    over: CancellationToken,
}

impl Pressure {
    async fn put(url: &str, messages: &[Large]) -> Result<Self> {
        let address = url.split_once("://").context("no URL")?.1.to_owned();
        let mut silent = Vec::with_capacity(SILENT);
        // As many at once as a listener lets wait.
        while silent.len() < SILENT {
            silent.extend(try_join_all((0..100).map(|_| TcpStream::connect(&address))).await?);
        }
        let slow = (0..SLOW).map(|_| AbortOnDropHandle::new(tokio::spawn(speak_slowly(address.clone()))));
        let over = CancellationToken::new();
        let large = send_large(client::connect(url).await?, messages.to_vec(), over.clone());
        Ok(Self {
            _silent: silent,
            _slow: slow.collect(),
            large: AbortOnDropHandle::new(tokio::spawn(large)),
            over,
        })
    }

    /// How many messages were refused; fails if one was not, or otherwise than is documented.
    async fn end(self) -> Result<u64> {
        self.over.cancel();
        self.large.await?
    }
}

/// Begins again whenever it is cut.
async fn speak_slowly(address: String) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(&address).await {
            for letter in &PREFACE[..PREFACE.len() - 1] {
                if stream.write_all(&[*letter]).await.is_err() {
                    break;
                }
                tokio::time::sleep(NOW_AND_THEN).await;
            }
        }
        tokio::time::sleep(NOW_AND_THEN).await;
    }
}

async fn send_large(line: Line, messages: Vec<Large>, over: CancellationToken) -> Result<u64> {
    let mut refused = 0;
    for (encoding, message) in messages.iter().cycle() {
        let pause = tokio::time::sleep(NOW_AND_THEN);
        if over.run_until_cancelled(pause).await.is_none() {
            break;
        }
        let mut request = Request::post("http://portrait/portrait.v1.IngestService/Track")
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(encoding) = encoding {
            request = request.header("grpc-encoding", *encoding);
        }
        // The end of the body does not come.
        let first = once(ready(Ok::<_, Infallible>(Frame::data(message.clone()))));
        let body = tonic::body::Body::new(StreamBody::new(first.chain(pending())));
        let answered = line.clone().oneshot(request.body(body)?).await?;
        let status = Status::from_header_map(answered.headers()).context("it was not refused")?;
        ensure!(status.code() == Code::InvalidArgument, "it was refused otherwise: {status}");
        refused += 1;
    }
    Ok(refused)
}

/// The beginning of a message whose end does not come.
fn announced() -> Bytes {
    [&[0], &ANNOUNCED_BYTES.to_be_bytes()[..], b"x"].concat().into()
}

/// A message of little that unpacks to much.
fn packed() -> Result<Bytes> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let nothing = vec![0; 1 << 20];
    for _ in 0..UNPACKED_BYTES / nothing.len() {
        packed.write_all(&nothing)?;
    }
    let packed = packed.finish()?;
    Ok([&[1], &u32::try_from(packed.len())?.to_be_bytes()[..], &packed].concat().into())
}

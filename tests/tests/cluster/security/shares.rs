//! One caller against all others: what it may hold of calls, streams, subscriptions and connections, what a request may cost, and
//! what needs no token. Another caller is served all along.

use super::pressure::{frame, sent};
use super::tokens::{Tokens, connect_with, track};
use super::{SecuredServer, get_profile_status};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::future::join_all;
use portrait_proto::methods;
use portrait_proto::status::reason_of;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{ErrorReason, TrackStreamRequest, WatchProfileChangesRequest};
use portrait_runtime::peer::Peer;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tonic::{Code, Status};

/// Deadline of a caller that wants to stay: eleven thousand years.
const FOREVER: (&str, &str) = ("grpc-timeout", "99999999H");
/// Default of `ingest.max_request`, the largest of all services.
const REQUEST_MAX: usize = 8 << 20;
/// Room for what else a server does while it is measured.
const SLACK_BYTES: u64 = 64 << 20;

/// Opens a subscription.
async fn subscribe(peer: &Peer) -> Result<impl Sized + use<>, Status> {
    let request = WatchProfileChangesRequest::default();
    QueryServiceClient::new(peer.clone()).watch_profile_changes(request).await
}

/// Opens a stream of events that sends nothing.
async fn open_stream(peer: &Peer) -> Result<impl Sized + use<>, Status> {
    let silent = tokio_stream::pending::<TrackStreamRequest>();
    IngestServiceClient::new(peer.clone()).track_stream(silent).await
}

fn assert_share_taken(status: &Status, key: &str) {
    assert_eq!((status.code(), reason_of(status)), (Code::ResourceExhausted, Some(ErrorReason::RateLimited)));
    assert!(status.message().contains(&format!("per_caller.{key}")), "{status}");
}

async fn assert_served(peer: &Peer) {
    let code = get_profile_status(peer).await.expect_err("an unknown user").code();
    assert_eq!(code, Code::NotFound, "another caller");
}

/// Compressed frame of a message of the largest size: `entry` again and again.
fn filled_with(entry: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&entry.repeat(REQUEST_MAX / entry.len())).expect("compressed");
    let content = encoder.finish().expect("compressed");
    frame(true, content.len(), &content)
}

/// Starts a server on which the token `abuser-secret` has every role, and `other-secret` reads.
async fn with_abuser(settings: &[&str]) -> (SecuredServer, Tokens) {
    let tokens = Tokens::of(&[]);
    tokens.add("abuser", r#"["read", "write", "admin"]"#);
    tokens.add("other", r#"["read"]"#);
    let settings = [tokens.settings(), settings.iter().map(|text| (*text).to_owned()).collect()].concat();
    (SecuredServer::start(&settings), tokens)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_holds_its_share_of_subscriptions_and_streams_and_another_is_served() {
    let tokens = Tokens::of(&[("read", ""), ("write", "per_caller = { streams = 3 }"), ("admin", "")]);
    let mut settings = tokens.settings();
    settings.extend(["query.max_subscribers=8", "server.max_streams=16"].map(str::to_owned));
    let server = SecuredServer::start(&settings);
    let reader = connect_with(&server, Some("read-secret")).await;
    let writer = connect_with(&server, Some("write-secret")).await;
    let mut held = Vec::new();
    // A quarter of eight.
    for _ in 0..2 {
        held.push(subscribe(&reader).await.expect("a share"));
    }
    assert_share_taken(&subscribe(&reader).await.err().expect("its share is taken"), "subscriptions");
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(open_stream(&writer).await.expect("what its token allows"));
    }
    assert_share_taken(&open_stream(&writer).await.err().expect("its share is taken"), "streams");
    // The operator sees who it is.
    let metrics = server.process.http_get("/metrics");
    for line in [
        r#"portrait_grpc_caller_holdings{caller="read",limit="subscriptions""#,
        r#"portrait_grpc_caller_refusals_total{caller="write",limit="streams""#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    drop(held);
    portrait_tests::wait_until("the places are given back", async || subscribe(&reader).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_a_caller_end_at_its_share_and_those_without_a_token_give_way() {
    let tokens = Tokens::of(&[("read", ""), ("write", "")]);
    let mut settings = tokens.settings();
    settings.push("server.max_connections=16".to_owned());
    let server = SecuredServer::start(&settings);
    let mut held = Vec::new();
    for _ in 0..4 {
        let peer = connect_with(&server, Some("read-secret")).await;
        assert_served(&peer).await;
        held.push(peer);
    }
    let fifth = connect_with(&server, Some("read-secret")).await;
    let status = get_profile_status(&fifth).await.expect_err("its share is taken");
    assert_share_taken(&status, "connections");
    drop(fifth);
    // Watches of the health need no token: each new connection closes the oldest of them.
    let address = server.url().split_once("://").expect("a URL").1;
    let watches: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = TcpStream::connect(address).expect("it listens");
            let head = "POST /grpc.health.v1.Health/Watch HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: 5\r\n\r\n";
            stream.write_all(head.as_bytes()).expect("sent");
            stream.write_all(&[0; 5]).expect("sent");
            stream
        })
        .collect();
    let writer = connect_with(&server, Some("write-secret")).await;
    let status = get_profile_status(&writer).await.expect_err("a writer may not read");
    assert_eq!(status.code(), Code::PermissionDenied);
    for peer in &held {
        assert_served(peer).await;
    }
    let mut oldest = watches.into_iter().next().expect("the oldest");
    oldest.set_read_timeout(Some(portrait_tests::TEST_TIMEOUT)).expect("a time");
    let mut received = Vec::new();
    // Reset or closed, after what the server had sent.
    let _ = oldest.read_to_end(&mut received);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_never_ends_frees_its_place_in_time_whatever_its_deadline() {
    let (server, _tokens) = with_abuser(&["server.max_calls=64", "server.call_timeout=500ms"]).await;
    let abuser = connect_with(&server, Some("abuser-secret")).await;
    let other = connect_with(&server, Some("other-secret")).await;
    let unfinished = frame(false, 100, b"x");
    for path in methods::all().into_iter().map(|method| method.path) {
        // More than its share of the calls, and more than all.
        let calls = (0..65).map(|_| sent(&abuser, &path, &[FOREVER], &unfinished));
        let (statuses, ()) = tokio::join!(join_all(calls), assert_served(&other));
        let count = |code| statuses.iter().filter(|status| status.code() == code).count();
        // A stream of events begins at once, and waits for its messages without a place of the calls.
        let in_time = if path.ends_with("/TrackStream") { 65 } else { 16 };
        // A watch of models without its first message is invalid.
        let late = count(Code::DeadlineExceeded) + count(Code::InvalidArgument);
        assert_eq!((late, count(Code::ResourceExhausted)), (in_time, 65 - in_time), "{path}: {statuses:?}");
        assert_served(&other).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_entries_that_fill_a_request_take_little_memory() {
    let (server, _tokens) = with_abuser(&[]).await;
    let abuser = connect_with(&server, Some("abuser-secret")).await;
    let other = connect_with(&server, Some("other-secret")).await;
    assert_served(&other).await;
    let before = server.process.memory_bytes();
    for method in methods::all() {
        let path = method.path;
        // Without a repeated field: its first one, again and again.
        let numbers = if method.repeated.is_empty() { vec![1] } else { method.repeated };
        for number in numbers {
            let tag = u8::try_from(number).expect("a small number");
            let request = filled_with(&[tag << 3 | 2, 0]);
            // A stream that is accepted stays open; its message is refused or decoded by then.
            let call = sent(&abuser, &path, &[("grpc-encoding", "gzip")], &request);
            let _ = tokio::time::timeout(Duration::from_millis(500), call).await;
            let grown = server.process.peak_memory_bytes().saturating_sub(before);
            assert!(grown < 4 * REQUEST_MAX as u64 + SLACK_BYTES, "{path}, field {tag}: {grown} bytes");
            assert_served(&other).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_within_entries_are_bounded_as_a_whole() {
    let (server, _tokens) = with_abuser(&[]).await;
    let abuser = connect_with(&server, Some("abuser-secret")).await;
    let before = server.process.memory_bytes();
    // Events with 900 properties, each with a name of its own.
    let properties: Vec<u8> = (0..900_u16)
        .flat_map(|number| [&[0x82, 1, 5, 0x0a, 3, b'k'][..], &number.to_be_bytes()].concat())
        .collect();
    let mut event = vec![0x0a];
    prost::encoding::encode_varint(properties.len() as u64, &mut event);
    event.extend(properties);
    for (path, reason) in [
        ("/portrait.v1.IngestService/Track", ErrorReason::TooMany),
        ("/portrait.v1.IngestService/TrackStream", ErrorReason::TooMany),
    ] {
        let entry = if path.ends_with("Stream") { [&[0x12], &event[1..]].concat() } else { event.clone() };
        let content = entry.repeat(REQUEST_MAX / entry.len());
        let status = sent(&abuser, path, &[], &frame(false, content.len(), &content)).await;
        assert_eq!((status.code(), reason_of(&status)), (Code::InvalidArgument, Some(reason)), "{status}");
        assert!(status.message().contains("100000"), "{status}");
    }
    let grown = server.process.peak_memory_bytes().saturating_sub(before);
    assert!(grown < 4 * REQUEST_MAX as u64 + SLACK_BYTES, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_refused_for_its_form_costs_little_of_the_rate() {
    let tokens = Tokens::of(&[("write", "events_per_second = 10")]);
    let server = SecuredServer::start(&tokens.settings());
    let writer = connect_with(&server, Some("write-secret")).await;
    let status = track(&writer, 2000).await.expect_err("too many events");
    assert_eq!(reason_of(&status), Some(ErrorReason::TooMany));
    track(&writer, 1).await.expect("the rate is not used up");
    // Refused requests without end are limited by the rate as well.
    let mut refused = 0;
    while reason_of(&track(&writer, 2000).await.expect_err("too many")) == Some(ErrorReason::TooMany) {
        refused += 1;
    }
    assert!(refused <= 20, "{refused} requests were decoded within a rate of 10 events a second");
}

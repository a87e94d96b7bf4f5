//! Callers who wear a server down: too many connections, words that never end, messages that are far too large. Each is told so or
//! cut, the memory of the server stays what it was, and somebody else is served meanwhile.

use super::{Certificates, SecuredServer, asked, caller, served, with_tls};
use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt;
use http::Request;
use portrait_proto::status::reason_of;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{ErrorReason, WatchProfileChangesRequest};
use portrait_runtime::peer::{Peer, PresentedCredentials};
use portrait_tests::{Server, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tonic::{Code, Status};
use tower::ServiceExt;

/// How many connections say nothing.
const SILENT: usize = 10_000;
/// More than whatever a server may need for a while, and much less than what it is told to take.
const ROOM: u64 = 96 << 20;

/// Opens a connection and says `bytes`.
fn say(house: &SecuredServer, bytes: &[u8]) -> TcpStream {
    let address = house.url().split_once("://").expect("a URL").1;
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(bytes).expect("sent");
    stream.set_read_timeout(Some(portrait_tests::TEST_TIMEOUT)).expect("a time");
    stream
}

/// Reads until the other side ends it.
fn ended(mut stream: TcpStream) {
    let mut heard = Vec::new();
    if let Err(error) = stream.read_to_end(&mut heard) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "it goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_who_say_nothing_keep_nobody_out() {
    // The server's child inherits it.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to what is allowed");
    let house = SecuredServer::start(&["server.max_connections=64".to_owned()]);
    let friend = served(house.url(), &PresentedCredentials::default()).await.expect("the first");
    let before = house.server.memory_bytes();
    let mut silent = Vec::new();
    for number in 0..SILENT {
        silent.push(say(&house, b""));
        if number % 1000 == 999 {
            served(house.url(), &PresentedCredentials::default()).await.expect("who asks is let in");
            assert_eq!(asked(&friend).await.expect_err("nobody").code(), Code::NotFound);
        }
    }
    let grown = house.server.memory_bytes().saturating_sub(before);
    assert!(grown < ROOM, "{grown} bytes for {SILENT} connections");
    let open = open_files(&house.server);
    assert!(open < 1000, "{open} files are open for 64 connections");
    // The first of them are gone.
    ended(silent.swap_remove(0));
}

fn open_files(server: &Server) -> usize {
    let folder = format!("/proc/{}/fd", server.pid().as_raw_nonzero());
    std::fs::read_dir(folder).expect("the child is there").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_finishes_a_handshake_a_preface_or_a_head_is_cut() {
    let ours = Certificates::make();
    let soon = "server.handshake_timeout=200ms".to_owned();
    let plain = SecuredServer::start(std::slice::from_ref(&soon));
    let secured = SecuredServer::start(&[with_tls(&ours, "server", false), vec![soon]].concat());
    let trusting = caller(&ours, None, None);
    // The beginning of a ClientHello: a record of 512 bytes, of which six come.
    let hello = [0x16, 3, 1, 2, 0, 1];
    let rows: [(&SecuredServer, &[u8]); 6] = [
        (&plain, b""),
        (&plain, b"PRI * HTTP/2.0\r\n\r\nSM"),
        (&plain, b"POST /portrait.v1.QueryService/GetProfile HTTP/1.1\r\nhost: a\r\nx: "),
        (&secured, b""),
        (&secured, &hello),
        (&secured, &hello[..1]),
    ];
    let loris: Vec<TcpStream> = rows.iter().map(|(house, bytes)| say(house, bytes)).collect();
    let begun = Instant::now();
    let friends = [(&plain, &PresentedCredentials::default()), (&secured, &trusting)];
    for (house, presented) in friends {
        let friend = served(house.url(), presented).await.expect("who asks is served");
        while begun.elapsed() < Duration::from_millis(400) {
            assert_eq!(asked(&friend).await.expect_err("nobody").code(), Code::NotFound);
        }
    }
    tokio::task::spawn_blocking(|| loris.into_iter().for_each(ended)).await.expect("all were cut");
}

/// Sends `frame` as the beginning of a call that goes on, and gives the status.
async fn sent(peer: &Peer, encoding: Option<&str>, frame: &Bytes) -> Status {
    let mut request = Request::post("http://portrait/portrait.v1.IngestService/Track")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let first = futures::stream::once(std::future::ready(Ok::<_, std::io::Error>(frame.clone())));
    let body = tonic::body::Body::new(Body::from_stream(first.chain(futures::stream::pending())));
    let answered = peer.clone().oneshot(request.body(body).expect("a request")).await;
    match answered {
        Ok(response) => Status::from_header_map(response.headers()).expect("refused before any answer"),
        Err(error) => Status::unavailable(format!("{error:?}")),
    }
}

/// A message of `length` bytes, of which `content` comes.
fn frame(compressed: bool, length: usize, content: &[u8]) -> Bytes {
    let length = u32::try_from(length).expect("it fits").to_be_bytes();
    [&[u8::from(compressed)], &length[..], content].concat().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_far_too_large_is_refused_before_it_is_read_or_unpacked() {
    let house = SecuredServer::start(&[]);
    let friend = served(house.url(), &PresentedCredentials::default()).await.expect("the first");
    let before = house.server.memory_bytes();
    let announced = frame(false, 1 << 30, b"x");
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    let nothing = vec![0; 1 << 20];
    (0..512).for_each(|_| packed.write_all(&nothing).expect("packed"));
    let packed = packed.finish().expect("packed");
    let bomb = frame(true, packed.len(), &packed);
    let garbage = frame(true, 5, b"no gz");
    for _ in 0..20 {
        let rows = [
            (None, &announced, Code::InvalidArgument, Some(ErrorReason::TooLong)),
            (Some("gzip"), &bomb, Code::InvalidArgument, Some(ErrorReason::TooLong)),
            (Some("gzip"), &garbage, Code::InvalidArgument, Some(ErrorReason::BadText)),
            (Some("zstd"), &garbage, Code::Unimplemented, None),
        ];
        for (encoding, frame, code, reason) in rows {
            let status = sent(&friend, encoding, frame).await;
            assert_eq!((status.code(), reason_of(&status)), (code, reason), "{status}");
        }
        assert_eq!(asked(&friend).await.expect_err("nobody").code(), Code::NotFound);
    }
    let grown = house.server.memory_bytes().saturating_sub(before);
    assert!(grown < ROOM, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_too_large_are_refused_and_the_next_call_is_served() {
    let house = SecuredServer::start(&["server.max_header=4KiB".to_owned()]);
    let friend = served(house.url(), &PresentedCredentials::default()).await.expect("the first");
    let (large, small) = ("x".repeat(8 << 10), "x".repeat(2 << 10));
    let answered = async |value: &str| {
        let mut request = tonic::Request::new(Default::default());
        request.metadata_mut().insert("x-note", value.parse().expect("a header"));
        QueryServiceClient::new(friend.clone()).get_profile(request).await.expect_err("nobody").code()
    };
    assert_eq!(answered(&small).await, Code::InvalidArgument, "nobody is asked for");
    assert_ne!(answered(&large).await, Code::InvalidArgument);
    assert_eq!(answered(&small).await, Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_old_is_made_anew_and_a_stream_on_it_is_cut_after_the_grace() {
    let ages = ["server.connection_age=300ms", "server.connection_grace=300ms"];
    let house = SecuredServer::start(&ages.map(str::to_owned));
    let channel = PresentedCredentials::default().endpoint(house.url()).expect("an address").connect_lazy();
    let peer = Peer::from(channel);
    let watch = WatchProfileChangesRequest::default();
    let watched = QueryServiceClient::new(peer.clone()).watch_profile_changes(watch).await;
    let mut watched = watched.expect("a stream").into_inner();
    let begun = Instant::now();
    let cut = tokio::spawn(async move {
        while watched.message().await.is_ok_and(|message| message.is_some()) {}
        begun.elapsed()
    });
    // Calls go on over one connection after the other. What this caller had not sent when it was asked to go is not sent.
    let mut answered = 0;
    until("the stream was cut", async || {
        match asked(&peer).await.expect_err("nobody").code() {
            Code::NotFound => answered += 1,
            code => assert_eq!(code, Code::Cancelled),
        }
        cut.is_finished()
    })
    .await;
    assert!(answered > 100, "{answered} calls were answered");
    until("who comes again is served", async || {
        asked(&peer).await.is_err_and(|status| status.code() == Code::NotFound)
    })
    .await;
    let lived = cut.await.expect("no panic");
    assert!(lived > Duration::from_millis(500), "it was cut after {lived:?}, before its grace was over");
}

//! Abusive clients: too many connections, unfinished handshakes and requests, oversized messages. Each gets a status or is disconnected,
//! the memory of the server stays bounded, and other clients are served meanwhile.

use super::{Certificates, SecuredServer, connect_and_query, credentials, get_profile_status, with_tls};
use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt;
use http::Request;
use http_body_util::BodyExt;
use portrait_proto::status::reason_of;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{ErrorReason, WatchProfileChangesRequest};
use portrait_runtime::peer::{Peer, PresentedCredentials};
use portrait_tests::{Server, wait_until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tonic::{Code, Status};
use tower::ServiceExt;

/// Number of idle connections.
const IDLE: usize = 10_000;
/// Maximum growth of memory in bytes: above normal fluctuation, far below the announced sizes.
const GROWTH_BYTES_MAX: u64 = 96 << 20;

/// Opens a connection and sends `bytes`.
fn open_connection(server: &SecuredServer, bytes: &[u8]) -> TcpStream {
    let address = server.url().split_once("://").expect("a URL").1;
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(bytes).expect("sent");
    stream.set_read_timeout(Some(portrait_tests::TEST_TIMEOUT)).expect("a time");
    stream
}

/// Reads until the server closes the connection.
fn read_until_closed(mut stream: TcpStream) {
    let mut received = Vec::new();
    if let Err(error) = stream.read_to_end(&mut received) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the connection stays open");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections_do_not_block_other_clients() {
    // The server process inherits the limit.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("the hard limit is allowed");
    let server = SecuredServer::start(&["server.max_connections=64".to_owned()]);
    let peer = connect_and_query(server.url(), &PresentedCredentials::default()).await.expect("the first");
    let before = server.process.memory_bytes();
    let mut idle = Vec::new();
    for number in 0..IDLE {
        idle.push(open_connection(&server, b""));
        if number % 1000 == 999 {
            connect_and_query(server.url(), &PresentedCredentials::default())
                .await
                .expect("an active client is accepted");
            assert_eq!(get_profile_status(&peer).await.expect_err("unknown user").code(), Code::NotFound);
        }
    }
    let grown = server.process.memory_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes for {IDLE} connections");
    let open = open_files(&server.process);
    assert!(open < 1000, "{open} files are open for 64 connections");
    // The oldest idle connections are evicted.
    read_until_closed(idle.swap_remove(0));
}

fn open_files(server: &Server) -> usize {
    let folder = format!("/proc/{}/fd", server.pid().as_raw_nonzero());
    std::fs::read_dir(folder).expect("the process runs").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_handshakes_prefaces_and_heads_are_disconnected() {
    let ours = Certificates::make();
    let soon = "server.handshake_timeout=200ms".to_owned();
    let plain = SecuredServer::start(std::slice::from_ref(&soon));
    let secured = SecuredServer::start(&[with_tls(&ours, "server", false), vec![soon]].concat());
    let trusting = credentials(&ours, None, None);
    // Start of a ClientHello: a record of 512 bytes, of which six are sent.
    let hello = [0x16, 3, 1, 2, 0, 1];
    let rows: [(&SecuredServer, &[u8]); 6] = [
        (&plain, b""),
        (&plain, b"PRI * HTTP/2.0\r\n\r\nSM"),
        (&plain, b"POST /portrait.v1.QueryService/GetProfile HTTP/1.1\r\nhost: a\r\nx: "),
        (&secured, b""),
        (&secured, &hello),
        (&secured, &hello[..1]),
    ];
    let loris: Vec<TcpStream> = rows.iter().map(|(server, bytes)| open_connection(server, bytes)).collect();
    let started = Instant::now();
    let clients = [(&plain, &PresentedCredentials::default()), (&secured, &trusting)];
    for (server, presented) in clients {
        let peer = connect_and_query(server.url(), presented).await.expect("an active client is served");
        while started.elapsed() < Duration::from_millis(400) {
            assert_eq!(get_profile_status(&peer).await.expect_err("unknown user").code(), Code::NotFound);
        }
    }
    tokio::task::spawn_blocking(|| loris.into_iter().for_each(read_until_closed))
        .await
        .expect("every connection is closed");
}

/// Sends `frame` as the start of an unfinished request; returns the status of the response. The headers are pairs of name and value.
pub(super) async fn sent(peer: &Peer, path: &str, headers: &[(&str, &str)], frame: &Bytes) -> Status {
    let first = futures::stream::once(std::future::ready(Ok::<_, std::io::Error>(frame.clone())));
    answered(peer, path, headers, Body::from_stream(first.chain(futures::stream::pending()))).await
}

/// Sends a request with this body; returns the status of the response, of a stream once it ends.
pub(super) async fn answered(peer: &Peer, path: &str, headers: &[(&str, &str)], body: Body) -> Status {
    let mut request = Request::post(format!("http://portrait{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = tonic::body::Body::new(body);
    match peer.clone().oneshot(request.body(body).expect("a request")).await {
        Ok(response) => match Status::from_header_map(response.headers()) {
            Some(status) => status,
            None => status_in_trailers(response.into_body()).await,
        },
        Err(error) => Status::unavailable(format!("{error:?}")),
    }
}

/// Reads a response to its end; returns the status in its trailers.
async fn status_in_trailers(body: tonic::body::Body) -> Status {
    match body.collect().await {
        Ok(collected) => collected
            .trailers()
            .and_then(Status::from_header_map)
            .unwrap_or_else(|| Status::unknown("no status")),
        Err(status) => status,
    }
}

/// gRPC frame that announces `length` bytes and contains `content`.
pub(super) fn frame(compressed: bool, length: usize, content: &[u8]) -> Bytes {
    let length = u32::try_from(length).expect("it fits").to_be_bytes();
    [&[u8::from(compressed)], &length[..], content].concat().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_message_is_refused_before_it_is_read_or_decompressed() {
    let server = SecuredServer::start(&[]);
    let peer = connect_and_query(server.url(), &PresentedCredentials::default()).await.expect("the first");
    let before = server.process.memory_bytes();
    let announced = frame(false, 1 << 30, b"x");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 1 << 20];
    (0..512).for_each(|_| encoder.write_all(&zeros).expect("compressed"));
    let packed = encoder.finish().expect("compressed");
    let bomb = frame(true, packed.len(), &packed);
    let garbage = frame(true, 5, b"no gz");
    for _ in 0..20 {
        let rows = [
            ("identity", &announced, Code::InvalidArgument, Some(ErrorReason::TooLong)),
            ("gzip", &bomb, Code::InvalidArgument, Some(ErrorReason::TooLong)),
            ("gzip", &garbage, Code::InvalidArgument, Some(ErrorReason::BadText)),
            ("zstd", &garbage, Code::Unimplemented, None),
        ];
        for (encoding, frame, code, reason) in rows {
            let headers = [("grpc-encoding", encoding)];
            let status = sent(&peer, "/portrait.v1.IngestService/Track", &headers, frame).await;
            assert_eq!((status.code(), reason_of(&status)), (code, reason), "{status}");
        }
        assert_eq!(get_profile_status(&peer).await.expect_err("unknown user").code(), Code::NotFound);
    }
    let grown = server.process.memory_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_headers_are_refused_and_the_next_call_is_served() {
    let server = SecuredServer::start(&["server.max_header=4KiB".to_owned()]);
    let peer = connect_and_query(server.url(), &PresentedCredentials::default()).await.expect("the first");
    let (large, small) = ("x".repeat(8 << 10), "x".repeat(2 << 10));
    let answered = async |value: &str| {
        let mut request = tonic::Request::new(Default::default());
        request.metadata_mut().insert("x-note", value.parse().expect("a header"));
        QueryServiceClient::new(peer.clone()).get_profile(request).await.expect_err("unknown user").code()
    };
    assert_eq!(answered(&small).await, Code::InvalidArgument, "the user id is empty");
    assert_ne!(answered(&large).await, Code::InvalidArgument);
    assert_eq!(answered(&small).await, Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_is_replaced_and_its_streams_end_after_the_grace_period() {
    let ages = ["server.connection_age=300ms", "server.connection_grace=300ms"];
    let server = SecuredServer::start(&ages.map(str::to_owned));
    let channel = PresentedCredentials::default().endpoint(server.url()).expect("an address").connect_lazy();
    let peer = Peer::from(channel);
    let watch = WatchProfileChangesRequest::default();
    let watched = QueryServiceClient::new(peer.clone()).watch_profile_changes(watch).await;
    let mut watched = watched.expect("a stream").into_inner();
    let started = Instant::now();
    let stream_end = tokio::spawn(async move {
        while watched.message().await.is_ok_and(|message| message.is_some()) {}
        started.elapsed()
    });
    // Calls continue on successive connections. A call that was not sent before GOAWAY is cancelled by the client.
    let mut answered = 0;
    wait_until("the stream has ended", async || {
        match get_profile_status(&peer).await.expect_err("unknown user").code() {
            Code::NotFound => answered += 1,
            code => assert_eq!(code, Code::Cancelled),
        }
        stream_end.is_finished()
    })
    .await;
    assert!(answered > 100, "{answered} calls were answered");
    wait_until("a new connection is served", async || {
        get_profile_status(&peer).await.is_err_and(|status| status.code() == Code::NotFound)
    })
    .await;
    let lived = stream_end.await.expect("no panic");
    assert!(lived > Duration::from_millis(500), "it ended after {lived:?}, before the grace period");
}

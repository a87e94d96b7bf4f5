//! Drain of a server: it waits for calls in flight and aborts those beyond the grace period.

use super::fixture::{TIMEOUT, TestServer, call, config, open_stream};
use portrait_runtime::config::DurationSetting;
use portrait_runtime::server::{DrainOutcome, ServerConfig};
use std::sync::atomic::Ordering;
use tokio::net::TcpStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

/// Waits until the port refuses connections.
async fn closed(address: std::net::SocketAddr) {
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIMEOUT, refused).await.expect("the port stays open");
}

#[tokio::test]
async fn a_drain_waits_for_calls_in_flight() {
    let server = TestServer::start(config()).await;
    let channel = server.channel();
    let pending = tokio::spawn(async move { call(&channel, "/test.Echo/Wait", "").await });
    server.service.wait_for_calls(1).await;
    server.shutdown.cancel();
    closed(server.grpc).await;
    let (line, body) = server.get("/readyz").await;
    assert_eq!(line, "HTTP/1.1 503 Service Unavailable");
    assert!(body.contains("draining"), "{body}");
    assert_eq!(server.get("/livez").await.0, "HTTP/1.1 200 OK");
    server.service.open.cancel();
    assert_eq!(pending.await.expect("no panic").expect("it was in flight"), "waited");
    let http = server.http;
    assert_eq!(server.stopped().await, DrainOutcome::Graceful);
    closed(http).await;
}

#[tokio::test]
async fn health_watchers_and_open_reflection_streams_do_not_delay_a_drain() {
    let server = TestServer::start(config()).await;
    let mut health = HealthClient::new(server.channel());
    let mut watch = health.watch(HealthCheckRequest::default()).await.expect("a stream").into_inner();
    let first = watch.message().await.expect("a status").expect("a message");
    assert_eq!(first.status(), ServingStatus::Serving);
    let mut reflection = ServerReflectionClient::new(server.channel());
    let held = tokio_stream::pending::<ServerReflectionRequest>();
    let mut held = reflection.server_reflection_info(held).await.expect("a stream").into_inner();
    server.shutdown.cancel();
    let last = watch.message().await.expect("a status").expect("a message");
    assert_eq!(last.status(), ServingStatus::NotServing);
    assert!(watch.message().await.expect("an end").is_none(), "no message follows the last status");
    assert!(!matches!(held.message().await, Ok(Some(_))), "no request was sent");
    assert_eq!(server.stopped().await, DrainOutcome::Graceful);
}

#[tokio::test]
async fn calls_beyond_the_grace_period_are_aborted() {
    let server =
        TestServer::start(ServerConfig { drain_grace: DurationSetting::from_millis(50), ..config() }).await;
    let channel = server.channel();
    let mut stream = open_stream(&channel).await.expect("a stream");
    let pending = tokio::spawn(async move { call(&channel, "/test.Echo/Wait", "").await });
    server.service.wait_for_calls(1).await;
    let service = server.service.clone();
    assert_eq!(server.stopped().await, DrainOutcome::Aborted);
    assert!(pending.await.expect("no panic").is_err(), "its caller gets an error");
    assert!(stream.message().await.is_err(), "its caller gets an error");
    service.wait_for_calls(0).await;
    assert_eq!(service.completed.load(Ordering::SeqCst), 0, "an aborted call does nothing more");
}

#[tokio::test]
async fn a_server_with_idle_connections_stops_at_once() {
    let server = TestServer::start(config()).await;
    let channels: Vec<_> = (0..4).map(|_| server.channel()).collect();
    for channel in &channels {
        call(channel, "/test.Echo/Say", "").await.expect("a body");
    }
    let _idle = TcpStream::connect(server.http).await.expect("an idle metrics reader");
    assert_eq!(server.stopped().await, DrainOutcome::Graceful);
}

#[tokio::test]
async fn dropping_a_server_aborts_everything() {
    let server = TestServer::start(config()).await;
    let channel = server.channel();
    let pending = tokio::spawn(async move { call(&channel, "/test.Echo/Wait", "").await });
    server.service.wait_for_calls(1).await;
    server.serving.abort();
    assert!(pending.await.expect("no panic").is_err());
    server.service.wait_for_calls(0).await;
    closed(server.grpc).await;
    closed(server.http).await;
}

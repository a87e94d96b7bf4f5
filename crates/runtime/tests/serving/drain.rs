//! How a server ends: it waits for what is under way, and cuts what will not end.

use super::house::{House, PATIENCE, call, config, open_stream};
use portrait_runtime::config::Interval;
use portrait_runtime::server::{DrainOutcome, ServerConfig};
use std::sync::atomic::Ordering;
use tokio::net::TcpStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

/// Waits until nobody can connect any more.
async fn closed(address: std::net::SocketAddr) {
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the port stays open");
}

#[tokio::test]
async fn a_drain_waits_for_the_calls_under_way() {
    let house = House::start(config()).await;
    let channel = house.channel();
    let waiting = tokio::spawn(async move { call(&channel, "/test.Room/Wait", "").await });
    house.room.holds(1).await;
    house.shutdown.cancel();
    closed(house.grpc).await;
    let (line, answer) = house.get("/readyz").await;
    assert_eq!(line, "HTTP/1.1 503 Service Unavailable");
    assert!(answer.contains("draining"), "{answer}");
    assert_eq!(house.get("/livez").await.0, "HTTP/1.1 200 OK");
    house.room.open.cancel();
    assert_eq!(waiting.await.expect("no panic").expect("it was under way"), "waited");
    let http = house.http;
    assert_eq!(house.stopped().await, DrainOutcome::Graceful);
    closed(http).await;
}

#[tokio::test]
async fn whoever_watches_the_health_or_holds_reflection_open_does_not_hold_up_a_drain() {
    let house = House::start(config()).await;
    let mut health = HealthClient::new(house.channel());
    let mut watched = health.watch(HealthCheckRequest::default()).await.expect("a stream").into_inner();
    let first = watched.message().await.expect("a status").expect("a message");
    assert_eq!(first.status(), ServingStatus::Serving);
    let mut reflection = ServerReflectionClient::new(house.channel());
    let held = tokio_stream::pending::<ServerReflectionRequest>();
    let mut held = reflection.server_reflection_info(held).await.expect("a stream").into_inner();
    house.shutdown.cancel();
    let last = watched.message().await.expect("a status").expect("a message");
    assert_eq!(last.status(), ServingStatus::NotServing);
    assert!(watched.message().await.expect("an end").is_none(), "nothing comes after the last word");
    assert!(!matches!(held.message().await, Ok(Some(_))), "nothing was asked");
    assert_eq!(house.stopped().await, DrainOutcome::Graceful);
}

#[tokio::test]
async fn what_does_not_end_within_the_grace_is_cut() {
    let house = House::start(ServerConfig { drain_grace: Interval::from_millis(50), ..config() }).await;
    let channel = house.channel();
    let mut stream = open_stream(&channel).await.expect("a stream");
    let waiting = tokio::spawn(async move { call(&channel, "/test.Room/Wait", "").await });
    house.room.holds(1).await;
    let room = house.room.clone();
    assert_eq!(house.stopped().await, DrainOutcome::Cut);
    assert!(waiting.await.expect("no panic").is_err(), "its caller hears of it");
    assert!(stream.message().await.is_err(), "its caller hears of it");
    room.holds(0).await;
    assert_eq!(room.answered.load(Ordering::SeqCst), 0, "a call that was cut does nothing more");
}

#[tokio::test]
async fn a_server_with_idle_connections_ends_at_once() {
    let house = House::start(config()).await;
    let channels: Vec<_> = (0..4).map(|_| house.channel()).collect();
    for channel in &channels {
        call(channel, "/test.Room/Say", "").await.expect("an answer");
    }
    let _idle = TcpStream::connect(house.http).await.expect("an idle metrics reader");
    assert_eq!(house.stopped().await, DrainOutcome::Graceful);
}

#[tokio::test]
async fn a_server_that_is_dropped_cuts_everything() {
    let house = House::start(config()).await;
    let channel = house.channel();
    let waiting = tokio::spawn(async move { call(&channel, "/test.Room/Wait", "").await });
    house.room.holds(1).await;
    house.serving.abort();
    assert!(waiting.await.expect("no panic").is_err());
    house.room.holds(0).await;
    closed(house.grpc).await;
    closed(house.http).await;
}

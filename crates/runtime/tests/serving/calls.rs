//! What becomes of single calls: panics, overload, deadlines, messages that cannot be read, gRPC-web.

use super::house::{House, MESSAGE_MAX, ask, call, config, exchange, open_stream};
use portrait_runtime::config::Interval;
use portrait_runtime::server::ServerConfig;
use std::sync::atomic::Ordering;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

#[tokio::test]
async fn a_panic_is_answered_and_the_server_lives() {
    let house = House::start(config()).await;
    let channel = house.channel();
    for _ in 0..3 {
        let status = call(&channel, "/test.Room/Panic", "oops").await.expect_err("it panicked");
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("planted"), "the cause is for the log: {status}");
    }
    assert_eq!(call(&channel, "/test.Room/Say", "on").await.expect("the server lives"), "said on");
}

#[tokio::test]
async fn a_call_too_many_is_refused_while_streams_and_health_are_not_counted() {
    let house = House::start(ServerConfig { max_calls: 2, ..config() }).await;
    let channel = house.channel();
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(open_stream(&channel).await.expect("an open stream holds no place"));
    }
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { call(&channel, "/test.Room/Wait", "").await })
        })
        .collect();
    house.room.holds(2).await;
    let status = call(&channel, "/test.Room/Say", "").await.expect_err("no place is free");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().starts_with("clarified: "), "the last word is the house's: {status}");
    let health = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await;
    assert!(health.is_ok(), "whoever asks after the health always hears");

    house.room.open.cancel();
    for call in waiting {
        assert_eq!(call.await.expect("no panic").expect("a place was theirs"), "waited");
    }
    assert_eq!(call(&channel, "/test.Room/Say", "again").await.expect("places are free"), "said again");
}

#[tokio::test]
async fn a_caller_that_goes_away_gives_its_place_back() {
    let house = House::start(ServerConfig { max_calls: 1, ..config() }).await;
    let channel = house.channel();
    for _ in 0..3 {
        let gone = tokio::spawn({
            let channel = channel.clone();
            async move { call(&channel, "/test.Room/Wait", "").await }
        });
        house.room.holds(1).await;
        gone.abort();
        house.room.holds(0).await;
    }
    assert!(call(&channel, "/test.Room/Say", "").await.is_ok());
    assert_eq!(house.room.answered.load(Ordering::SeqCst), 0);
    let (_, metrics) = house.get("/metrics").await;
    let cancelled =
        metrics.lines().find(|line| line.contains("/test.Room/Wait") && line.contains("Cancelled"));
    assert!(cancelled.is_some_and(|line| line.ends_with(" 3")), "{metrics}");
}

#[tokio::test]
async fn our_deadline_holds_for_whoever_sets_none_and_only_for_those() {
    let house = House::start(ServerConfig { call_timeout: Interval::from_millis(30), ..config() }).await;
    let channel = house.channel();
    let patient = tokio::spawn({
        let channel = channel.clone();
        let mut request = tonic::Request::new(String::new());
        request.set_timeout(super::house::PATIENCE);
        async move { ask(&channel, "/test.Room/Wait", request).await }
    });
    house.room.holds(1).await;
    let status = call(&channel, "/test.Room/Wait", "").await.expect_err("nobody answers");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    house.room.holds(1).await;
    house.room.open.cancel();
    assert_eq!(patient.await.expect("no panic").expect("its own deadline is far"), "waited");
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_a_status_and_the_connection_lives() {
    let house = House::start(config()).await;
    let channel = house.channel();
    // One byte for the tag and three for the length.
    let largest = "x".repeat(MESSAGE_MAX - 4);
    assert!(call(&channel, "/test.Room/Say", &largest).await.is_ok(), "the limit itself is allowed");
    let status =
        call(&channel, "/test.Room/Say", &format!("{largest}x")).await.expect_err("one byte too many");
    // The library says OUT_OF_RANGE; the house's last word made it another.
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("65537 bytes, the limit is: 65536 bytes"), "{status}");
    let request = tonic::Request::new(vec![0xff_u8, 0xfe]);
    let status = ask(&channel, "/test.Room/Say", request).await.expect_err("no UTF-8");
    assert_eq!(status.code(), Code::Internal);
    let status = call(&channel, "/test.Room/Nothing", "").await.expect_err("no such method");
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(call(&channel, "/test.Room/Say", "on").await.expect("the connection lives"), "said on");
}

#[tokio::test]
async fn a_browser_is_answered_over_grpc_web() {
    let house = House::start(config()).await;
    // A frame: no compression, a length of four bytes, and the message: field 1, two bytes, "hi".
    let frame = [&[0, 0, 0, 0, 4, 0x0a, 2][..], b"hi"].concat();
    let head = "POST /test.Room/Say HTTP/1.1\r\nhost: test\r\ncontent-type: application/grpc-web+proto\r\n\
                content-length: 9\r\nconnection: close\r\n\r\n";
    let answer = exchange(house.grpc, &[head.as_bytes(), &frame].concat()).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("said hi"), "{answer}");
    assert!(answer.contains("grpc-status:0"), "{answer}");
}

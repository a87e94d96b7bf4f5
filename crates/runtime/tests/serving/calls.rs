//! Single calls: panics, overload, deadlines, undecodable messages, gRPC-web.

use super::fixture::{MESSAGE_MAX, TestServer, call, config, exchange, open_stream, send};
use portrait_runtime::config::DurationSetting;
use portrait_runtime::server::ServerConfig;
use std::sync::atomic::Ordering;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

#[tokio::test]
async fn a_panic_is_reported_as_internal_and_the_server_continues() {
    let server = TestServer::start(config()).await;
    let channel = server.channel();
    for _ in 0..3 {
        let status = call(&channel, "/test.Echo/Panic", "oops").await.expect_err("it panicked");
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("planted"), "the cause is for the log: {status}");
    }
    assert_eq!(call(&channel, "/test.Echo/Say", "on").await.expect("the server lives"), "echo on");
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused_while_streams_and_health_are_not_counted() {
    let server = TestServer::start(ServerConfig { max_calls: 2, ..config() }).await;
    let channel = server.channel();
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(open_stream(&channel).await.expect("an open stream holds no slot"));
    }
    let pending: Vec<_> = (0..2)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { call(&channel, "/test.Echo/Wait", "").await })
        })
        .collect();
    server.service.wait_for_calls(2).await;
    let status = call(&channel, "/test.Echo/Say", "").await.expect_err("no slot is free");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().starts_with("normalized: "), "every status is converted: {status}");
    let health = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await;
    assert!(health.is_ok(), "health checks bypass admission");

    server.service.open.cancel();
    for call in pending {
        assert_eq!(call.await.expect("no panic").expect("it held a slot"), "waited");
    }
    assert_eq!(call(&channel, "/test.Echo/Say", "again").await.expect("slots are free"), "echo again");
}

#[tokio::test]
async fn a_client_that_disconnects_frees_its_slot() {
    let server = TestServer::start(ServerConfig { max_calls: 1, ..config() }).await;
    let channel = server.channel();
    for _ in 0..3 {
        let gone = tokio::spawn({
            let channel = channel.clone();
            async move { call(&channel, "/test.Echo/Wait", "").await }
        });
        server.service.wait_for_calls(1).await;
        gone.abort();
        server.service.wait_for_calls(0).await;
    }
    assert!(call(&channel, "/test.Echo/Say", "").await.is_ok());
    assert_eq!(server.service.completed.load(Ordering::SeqCst), 0);
    let (_, metrics) = server.get("/metrics").await;
    let cancelled =
        metrics.lines().find(|line| line.contains("/test.Echo/Wait") && line.contains("Cancelled"));
    assert!(cancelled.is_some_and(|line| line.ends_with(" 3")), "{metrics}");
}

#[tokio::test]
async fn the_default_deadline_applies_only_to_callers_without_one() {
    let server =
        TestServer::start(ServerConfig { call_timeout: DurationSetting::from_millis(30), ..config() }).await;
    let channel = server.channel();
    let patient = tokio::spawn({
        let channel = channel.clone();
        let mut request = tonic::Request::new(String::new());
        request.set_timeout(super::fixture::TIMEOUT);
        async move { send(&channel, "/test.Echo/Wait", request).await }
    });
    server.service.wait_for_calls(1).await;
    let status = call(&channel, "/test.Echo/Wait", "").await.expect_err("no response");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    server.service.wait_for_calls(1).await;
    server.service.open.cancel();
    assert_eq!(patient.await.expect("no panic").expect("its own deadline is far"), "waited");
}

#[tokio::test]
async fn an_undecodable_message_is_a_status_and_the_connection_continues() {
    let server = TestServer::start(config()).await;
    let channel = server.channel();
    // One byte for the tag and three for the length.
    let largest = "x".repeat(MESSAGE_MAX - 4);
    assert!(call(&channel, "/test.Echo/Say", &largest).await.is_ok(), "the limit itself is allowed");
    let status =
        call(&channel, "/test.Echo/Say", &format!("{largest}x")).await.expect_err("one byte too many");
    // The library returns OUT_OF_RANGE; the conversion of the server replaces it.
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("65537 bytes, the limit is: 65536 bytes"), "{status}");
    let request = tonic::Request::new(vec![0xff_u8, 0xfe]);
    let status = send(&channel, "/test.Echo/Say", request).await.expect_err("no UTF-8");
    assert_eq!(status.code(), Code::Internal);
    let status = call(&channel, "/test.Echo/Nothing", "").await.expect_err("no such method");
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(call(&channel, "/test.Echo/Say", "on").await.expect("the connection lives"), "echo on");
}

#[tokio::test]
async fn a_browser_gets_a_response_over_grpc_web() {
    let server = TestServer::start(config()).await;
    // A frame: no compression, a length of four bytes, and the message: field 1, two bytes, "hi".
    let frame = [&[0, 0, 0, 0, 4, 0x0a, 2][..], b"hi"].concat();
    let head = "POST /test.Echo/Say HTTP/1.1\r\nhost: test\r\ncontent-type: application/grpc-web+proto\r\n\
                content-length: 9\r\nconnection: close\r\n\r\n";
    let response = exchange(server.grpc, &[head.as_bytes(), &frame].concat()).await;
    let response = String::from_utf8_lossy(&response);
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(response.contains("echo hi"), "{response}");
    assert!(response.contains("grpc-status:0"), "{response}");
}

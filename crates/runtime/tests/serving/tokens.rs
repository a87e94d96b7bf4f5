//! Access control in the stack: every method requires its role, and denied calls use up no slot.

use super::fixture::{TestServer, call, config};
use portrait_runtime::server::ServerConfig;
use portrait_runtime::tokens::hashed;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

#[tokio::test]
async fn denied_calls_take_no_slot_and_never_reach_the_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tokens.toml");
    let entry = |name: &str, roles: &str| {
        format!("[[token]]\nname = \"{name}\"\nsha256 = \"{}\"\nroles = [{roles}]\n", hashed(name))
    };
    let text = entry("one", "\"write\", \"read\"") + &entry("two", "\"admin\"");
    std::fs::write(&file, text).expect("written");
    let server = TestServer::start(ServerConfig { tokens_file: file, max_calls: 1, ..config() }).await;
    let open = server.channel();
    let with = |token: &str| {
        let mut request = tonic::Request::new(String::new());
        let header = format!("Bearer {token}").parse().expect("a header");
        request.metadata_mut().insert("authorization", header);
        request
    };
    let pending = tokio::spawn({
        let (channel, request) = (open.clone(), with("one"));
        async move { super::fixture::send(&channel, "/test.Echo/Wait", request).await }
    });
    server.service.wait_for_calls(1).await;
    // The only slot is taken; the denial is still reported, since it comes before admission.
    for method in ["/test.Echo/Say", "/test.Echo/Wait", "/test.Echo/Panic", "/test.Echo/Nothing"] {
        let status = call(&open, method, "").await.expect_err("no token");
        assert_eq!(status.code(), Code::Unauthenticated, "{method}");
        assert!(status.message().contains("authorization: Bearer"), "{status}");
    }
    let rows = [
        ("three", "/test.Echo/Say", Code::Unauthenticated),
        ("two", "/test.Echo/Say", Code::PermissionDenied),
        ("one", "/test.Echo/Panic", Code::PermissionDenied),
        ("one", "/test.Echo/Say", Code::ResourceExhausted),
        ("two", "/test.Echo/Panic", Code::ResourceExhausted),
    ];
    for (token, method, code) in rows {
        let status = super::fixture::send(&open, method, with(token)).await.expect_err("refused");
        assert_eq!(status.code(), code, "{token} {method}: {status}");
    }
    HealthClient::new(open.clone()).check(HealthCheckRequest::default()).await.expect("health is open");
    server.service.open.cancel();
    assert_eq!(pending.await.expect("no panic").expect("it may"), "waited");
    let status = super::fixture::send(&open, "/test.Echo/Panic", with("two")).await.expect_err("it panics");
    assert_eq!(status.code(), Code::Internal);
    let (_, metrics) = server.get("/metrics").await;
    assert!(metrics.contains("code=\"Unauthenticated\""), "{metrics}");
}

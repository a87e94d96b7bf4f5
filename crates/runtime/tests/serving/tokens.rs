//! Who may call, as the stack sees it: every method asks for its role, and nobody without one takes room from others.

use super::house::{House, call, config};
use portrait_runtime::server::ServerConfig;
use portrait_runtime::tokens::hashed;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

#[tokio::test]
async fn whoever_has_no_token_takes_no_room_and_a_panic_is_for_those_who_may_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tokens.toml");
    let entry = |name: &str, roles: &str| {
        format!("[[token]]\nname = \"{name}\"\nsha256 = \"{}\"\nroles = [{roles}]\n", hashed(name))
    };
    let text = entry("one", "\"write\", \"read\"") + &entry("two", "\"admin\"");
    std::fs::write(&file, text).expect("written");
    let house = House::start(ServerConfig { tokens_file: file, max_calls: 1, ..config() }).await;
    let open = house.channel();
    let with = |token: &str| {
        let mut request = tonic::Request::new(String::new());
        let header = format!("Bearer {token}").parse().expect("a header");
        request.metadata_mut().insert("authorization", header);
        request
    };
    let waiting = tokio::spawn({
        let (channel, request) = (open.clone(), with("one"));
        async move { super::house::ask(&channel, "/test.Room/Wait", request).await }
    });
    house.room.holds(1).await;
    // The one place is taken, and yet it is said what is wrong.
    for method in ["/test.Room/Say", "/test.Room/Wait", "/test.Room/Panic", "/test.Room/Nothing"] {
        let status = call(&open, method, "").await.expect_err("no token");
        assert_eq!(status.code(), Code::Unauthenticated, "{method}");
        assert!(status.message().contains("authorization: Bearer"), "{status}");
    }
    let rows = [
        ("three", "/test.Room/Say", Code::Unauthenticated),
        ("two", "/test.Room/Say", Code::PermissionDenied),
        ("one", "/test.Room/Panic", Code::PermissionDenied),
        ("one", "/test.Room/Say", Code::ResourceExhausted),
        ("two", "/test.Room/Panic", Code::ResourceExhausted),
    ];
    for (token, method, code) in rows {
        let status = super::house::ask(&open, method, with(token)).await.expect_err("refused");
        assert_eq!(status.code(), code, "{token} {method}: {status}");
    }
    HealthClient::new(open.clone()).check(HealthCheckRequest::default()).await.expect("health is open");
    house.room.open.cancel();
    assert_eq!(waiting.await.expect("no panic").expect("it may"), "waited");
    let status = super::house::ask(&open, "/test.Room/Panic", with("two")).await.expect_err("it panics");
    assert_eq!(status.code(), Code::Internal);
    let (_, metrics) = house.get("/metrics").await;
    assert!(metrics.contains("code=\"Unauthenticated\""), "{metrics}");
}

//! Observable surface of a process: ports, health, reflection and metrics.

use super::fixture::{TIMEOUT, TestServer, call, config};
use portrait_runtime::config::{ByteSize, DurationSetting};
use portrait_runtime::server::{BoundServer, ServerConfig};
use std::net::TcpListener;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::{v1, v1alpha};

#[tokio::test]
async fn a_port_in_use_is_named_with_its_key_and_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().map(|address| (taken, address)).expect("a bound port");
    let rows = [
        (ServerConfig { listen: taken.1, ..config() }, ["--listen", "server.listen"]),
        (ServerConfig { http_listen: taken.1, ..config() }, ["--http-listen", "server.http_listen"]),
    ];
    for (config, parts) in rows {
        let Err(error) = BoundServer::bind(config).await else { panic!("a taken port was given twice") };
        let message = error.to_string();
        for part in parts.into_iter().chain([taken.1.to_string().as_str(), "in use"]) {
            assert!(message.contains(part), "{message:?} lacks {part:?}");
        }
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_bound_is_named_with_its_key() {
    let elsewhere = "192.0.2.1:0".parse().expect("an address of no local interface");
    let Err(error) = BoundServer::bind(ServerConfig { listen: elsewhere, ..config() }).await else {
        panic!("an address of another machine was given")
    };
    assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:0 (server.listen)");
}

#[test]
fn an_invalid_limit_is_refused_with_its_key() {
    let rows = [
        ServerConfig { max_calls: 0, ..config() },
        ServerConfig { max_connections: 0, ..config() },
        ServerConfig { max_streams_per_connection: 0, ..config() },
        ServerConfig { call_timeout: DurationSetting::default(), ..config() },
        ServerConfig { handshake_timeout: DurationSetting::default(), ..config() },
        ServerConfig { reload_interval: DurationSetting::default(), ..config() },
        ServerConfig { max_header: ByteSize::default(), ..config() },
        ServerConfig { max_header: ByteSize::mebibytes(2), ..config() },
        ServerConfig { tls_certificate: "/etc/x.pem".into(), ..config() },
        ServerConfig { tls_client_ca: "/etc/x.pem".into(), ..config() },
    ];
    let keys = [
        "max_calls",
        "max_connections",
        "max_streams_per_connection",
        "call_timeout",
        "handshake_timeout",
        "reload_interval",
        "max_header",
        "max_header",
        "tls_key",
        "tls_certificate",
    ];
    assert_eq!(rows.len(), keys.len());
    for (config, key) in rows.into_iter().zip(keys) {
        let invalid = config.validate().expect_err(key);
        assert_eq!(invalid.key, format!("server.{key}"));
    }
    assert_eq!(ServerConfig::default().validate(), Ok(()));
}

#[tokio::test]
async fn http_reports_liveness_and_the_components_that_are_not_ready() {
    let server = TestServer::start(config()).await;
    assert_eq!(server.get("/livez").await.0, "HTTP/1.1 200 OK");
    assert_eq!(server.get("/readyz").await.0, "HTTP/1.1 200 OK");
    server.health.not_ready("store", "it is being opened");
    let (line, body) = server.get("/readyz").await;
    assert_eq!(line, "HTTP/1.1 503 Service Unavailable");
    assert!(body.ends_with(r#"[["store","it is being opened"]]"#), "{body}");
    assert_eq!(server.get("/livez").await.0, "HTTP/1.1 200 OK");
    server.health.ready("store");
    assert_eq!(server.get("/readyz").await.0, "HTTP/1.1 200 OK");
    assert_eq!(server.get("/elsewhere").await.0, "HTTP/1.1 404 Not Found");
}

#[tokio::test]
async fn calls_are_measured_by_method_and_code_and_unknown_methods_share_one_label() {
    let server = TestServer::start(config()).await;
    let channel = server.channel();
    for _ in 0..2 {
        call(&channel, "/test.Echo/Say", "x").await.expect("a response");
    }
    for made_up in ["/test.Echo/A", "/test.Echo/B", "/other.Service/C"] {
        let status = call(&channel, made_up, "x").await.expect_err("no such method");
        assert_eq!(status.code(), Code::Unimplemented);
    }
    let (line, text) = server.get("/metrics").await;
    assert_eq!(line, "HTTP/1.1 200 OK");
    let value = |method: &str, code: &str| {
        let line = text.lines().find(|line| {
            line.starts_with("portrait_grpc_calls_total{")
                && line.contains(&format!("method=\"{method}\""))
                && line.contains(&format!("code=\"{code}\""))
        });
        line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
    };
    assert_eq!(value("/test.Echo/Say", "Ok").as_deref(), Some("2"), "{text}");
    assert_eq!(value("unknown", "Unimplemented").as_deref(), Some("3"), "{text}");
    assert!(!text.contains("/other.Service/C"), "{text}");
    assert!(text.contains("# HELP portrait_grpc_call_duration_seconds "), "{text}");
    assert!(text.contains("portrait_grpc_call_duration_seconds_count{method=\"/test.Echo/Say\""), "{text}");
}

#[tokio::test]
async fn the_health_service_reports_the_state_of_the_components() {
    let server = TestServer::start(config()).await;
    let mut client = HealthClient::new(server.channel());
    let request = |name: &str| HealthCheckRequest { service: name.to_owned() };
    let mut watch = client.watch(request("test.Echo")).await.expect("a stream").into_inner();
    let rows = [
        (None, ServingStatus::Serving),
        (Some(Some("it is being opened")), ServingStatus::NotServing),
        (Some(None), ServingStatus::Serving),
    ];
    for (change, expected) in rows {
        match change {
            Some(Some(why)) => server.health.not_ready("store", why),
            Some(None) => server.health.ready("store"),
            None => {}
        }
        let message = tokio::time::timeout(TIMEOUT, watch.message()).await.expect("no message came");
        assert_eq!(message.expect("a status").expect("a message").status(), expected);
        let message = client.check(request("test.Echo")).await.expect("a known name");
        assert_eq!(message.into_inner().status(), expected);
    }
    assert!(client.check(request("")).await.is_ok(), "the empty name is the whole process");
    let unknown = client.check(request("test.Unknown")).await.expect_err("no such service");
    assert_eq!(unknown.code(), Code::NotFound);
}

async fn services_v1(channel: Channel) -> Vec<String> {
    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("a stream");
    let response = answers.into_inner().message().await.expect("a response").expect("one response");
    let Some(MessageResponse::ListServicesResponse(list)) = response.message_response else {
        panic!("{response:?} is no list")
    };
    list.service.into_iter().map(|service| service.name).collect()
}

async fn services_v1alpha(channel: Channel) -> Vec<String> {
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("a stream");
    let response = answers.into_inner().message().await.expect("a response").expect("one response");
    let Some(MessageResponse::ListServicesResponse(list)) = response.message_response else {
        panic!("{response:?} is no list")
    };
    list.service.into_iter().map(|service| service.name).collect()
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_versions() {
    let server = TestServer::start(config()).await;
    for names in [services_v1(server.channel()).await, services_v1alpha(server.channel()).await] {
        for name in ["test.Echo", "grpc.health.v1.Health"] {
            assert!(names.iter().any(|known| known == name), "{name} is not among {names:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_another_to_close() {
    let server = TestServer::start(ServerConfig { max_connections: 1, ..config() }).await;
    let first = server.channel();
    call(&first, "/test.Echo/Say", "").await.expect("the first connection");
    let second = server.channel();
    let pending = tokio::spawn(async move { call(&second, "/test.Echo/Say", "second").await });
    for _ in 0..50 {
        call(&first, "/test.Echo/Say", "").await.expect("the first connection goes on");
    }
    assert!(!pending.is_finished(), "there is one slot");
    drop(first);
    let response = tokio::time::timeout(TIMEOUT, pending).await.expect("it never got a slot");
    assert_eq!(response.expect("no panic").expect("a response"), "echo second");
}

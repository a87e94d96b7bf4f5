//! What can be asked of a process from outside: its ports, its health, its descriptors, its metrics.

use super::house::{House, PATIENCE, call, config};
use portrait_runtime::config::{ByteSize, Interval};
use portrait_runtime::server::{Bound, ServerConfig};
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
        let Err(error) = Bound::bind(config).await else { panic!("a taken port was given twice") };
        let said = error.to_string();
        for part in parts.into_iter().chain([taken.1.to_string().as_str(), "in use"]) {
            assert!(said.contains(part), "{said:?} lacks {part:?}");
        }
    }
}

#[tokio::test]
async fn an_address_of_another_machine_is_named_with_its_key() {
    let elsewhere = "192.0.2.1:0".parse().expect("an address that nobody has");
    let Err(error) = Bound::bind(ServerConfig { listen: elsewhere, ..config() }).await else {
        panic!("an address of another machine was given")
    };
    assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:0 (server.listen)");
}

#[test]
fn a_limit_that_lets_nothing_through_is_refused_with_its_key() {
    let rows = [
        ServerConfig { max_calls: 0, ..config() },
        ServerConfig { max_connections: 0, ..config() },
        ServerConfig { max_streams_per_connection: 0, ..config() },
        ServerConfig { call_timeout: Interval::default(), ..config() },
        ServerConfig { handshake_timeout: Interval::default(), ..config() },
        ServerConfig { reload_every: Interval::default(), ..config() },
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
        "reload_every",
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
async fn http_tells_whether_the_process_lives_and_for_what_it_waits() {
    let house = House::start(config()).await;
    assert_eq!(house.get("/livez").await.0, "HTTP/1.1 200 OK");
    assert_eq!(house.get("/readyz").await.0, "HTTP/1.1 200 OK");
    house.health.not_ready("store", "it is being opened");
    let (line, answer) = house.get("/readyz").await;
    assert_eq!(line, "HTTP/1.1 503 Service Unavailable");
    assert!(answer.ends_with(r#"[["store","it is being opened"]]"#), "{answer}");
    assert_eq!(house.get("/livez").await.0, "HTTP/1.1 200 OK");
    house.health.ready("store");
    assert_eq!(house.get("/readyz").await.0, "HTTP/1.1 200 OK");
    assert_eq!(house.get("/elsewhere").await.0, "HTTP/1.1 404 Not Found");
}

#[tokio::test]
async fn calls_are_measured_by_method_and_code_and_made_up_methods_as_one() {
    let house = House::start(config()).await;
    let channel = house.channel();
    for _ in 0..2 {
        call(&channel, "/test.Room/Say", "x").await.expect("an answer");
    }
    for made_up in ["/test.Room/A", "/test.Room/B", "/other.Service/C"] {
        let status = call(&channel, made_up, "x").await.expect_err("no such method");
        assert_eq!(status.code(), Code::Unimplemented);
    }
    let (line, text) = house.get("/metrics").await;
    assert_eq!(line, "HTTP/1.1 200 OK");
    let value = |method: &str, code: &str| {
        let line = text.lines().find(|line| {
            line.starts_with("portrait_grpc_calls_total{")
                && line.contains(&format!("method=\"{method}\""))
                && line.contains(&format!("code=\"{code}\""))
        });
        line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
    };
    assert_eq!(value("/test.Room/Say", "Ok").as_deref(), Some("2"), "{text}");
    assert_eq!(value("unknown", "Unimplemented").as_deref(), Some("3"), "{text}");
    assert!(!text.contains("/other.Service/C"), "{text}");
    assert!(text.contains("# HELP portrait_grpc_call_duration_seconds "), "{text}");
    assert!(text.contains("portrait_grpc_call_duration_seconds_count{method=\"/test.Room/Say\""), "{text}");
}

#[tokio::test]
async fn the_health_service_says_what_the_components_say() {
    let house = House::start(config()).await;
    let mut client = HealthClient::new(house.channel());
    let request = |name: &str| HealthCheckRequest { service: name.to_owned() };
    let mut watched = client.watch(request("test.Room")).await.expect("a stream").into_inner();
    let rows = [
        (None, ServingStatus::Serving),
        (Some(Some("it is being opened")), ServingStatus::NotServing),
        (Some(None), ServingStatus::Serving),
    ];
    for (change, expected) in rows {
        match change {
            Some(Some(why)) => house.health.not_ready("store", why),
            Some(None) => house.health.ready("store"),
            None => {}
        }
        let told = tokio::time::timeout(PATIENCE, watched.message()).await.expect("nothing was told");
        assert_eq!(told.expect("a status").expect("a message").status(), expected);
        let told = client.check(request("test.Room")).await.expect("a known name");
        assert_eq!(told.into_inner().status(), expected);
    }
    assert!(client.check(request("")).await.is_ok(), "the empty name is the whole process");
    let unknown = client.check(request("test.Nobody")).await.expect_err("no such service");
    assert_eq!(unknown.code(), Code::NotFound);
}

async fn services_v1(channel: Channel) -> Vec<String> {
    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("a stream");
    let answer = answers.into_inner().message().await.expect("an answer").expect("one answer");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?} is no list")
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
    let answer = answers.into_inner().message().await.expect("an answer").expect("one answer");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?} is no list")
    };
    list.service.into_iter().map(|service| service.name).collect()
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_versions() {
    let house = House::start(config()).await;
    for names in [services_v1(house.channel()).await, services_v1alpha(house.channel()).await] {
        for name in ["test.Room", "grpc.health.v1.Health"] {
            assert!(names.iter().any(|known| known == name), "{name} is not among {names:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_too_many_waits_for_the_end_of_another() {
    let house = House::start(ServerConfig { max_connections: 1, ..config() }).await;
    let first = house.channel();
    call(&first, "/test.Room/Say", "").await.expect("the first connection");
    let second = house.channel();
    let waiting = tokio::spawn(async move { call(&second, "/test.Room/Say", "second").await });
    for _ in 0..50 {
        call(&first, "/test.Room/Say", "").await.expect("the first connection goes on");
    }
    assert!(!waiting.is_finished(), "there is one place");
    drop(first);
    let answer = tokio::time::timeout(PATIENCE, waiting).await.expect("its turn never came");
    assert_eq!(answer.expect("no panic").expect("an answer"), "said second");
}

//! Operation of a server process: ports, data directories, health, configuration and graceful shutdown.

use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{Action, Event, TrackRequest};
use portrait_tests::{Server, connect, portrait_command};

fn startup_error(data: &std::path::Path, extra: &[&str]) -> String {
    Server::try_start(data, extra).err().expect("the server must not start")
}

#[test]
fn a_port_in_use_is_named_with_its_key_and_nothing_is_created() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(&data.path().join("first"), &[]);
    let taken = server.grpc_url().trim_start_matches("http://").to_owned();
    let second = data.path().join("second");
    let message = startup_error(&second, &["--set", &format!("server.listen={taken}")]);
    for part in [taken.as_str(), "is in use", "--listen", "server.listen"] {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    assert!(!second.exists(), "a server that cannot listen must not create a store");
}

#[test]
fn a_data_directory_that_is_in_use_or_of_another_version_is_refused() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path(), &[]);
    let message = startup_error(data.path(), &[]);
    assert!(message.contains("in use by another process"), "{message}");
    assert!(server.stop().success());
    let format = data.path().join("portrait-format");
    let text = std::fs::read_to_string(&format).expect("a format file");
    std::fs::write(&format, text.replace("format = 3", "format = 99")).expect("written");
    let message = startup_error(data.path(), &[]);
    for part in ["portrait-format", "format 99", "run the release that wrote it"] {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    let message = startup_error(data.path().parent().expect("a parent"), &[]);
    assert!(message.contains("not a store"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_reports_readiness_exports_metrics_and_stops_gracefully() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path(), &[]);
    portrait_tests::wait_until("the server is ready", async || server.http_get("/readyz").contains("200 OK"))
        .await;
    assert!(server.http_get("/livez").contains("200 OK"));
    let event = Event {
        user_id: "lena".to_owned(),
        action: Action::View.into(),
        occurred_at: Some(prost_types::Timestamp { seconds: 1_767_225_600, nanos: 0 }),
        ..Default::default()
    };
    let mut client = IngestServiceClient::new(connect(server.grpc_url()).await);
    client.track(TrackRequest { events: vec![event], backfill: false }).await.expect("accepted");
    portrait_tests::wait_until("the metrics are exported", async || {
        let metrics = server.http_get("/metrics");
        let expected =
            ["portrait_ingest_accepted_total", "portrait_feature_commits_total", "portrait_grpc_calls_total"];
        expected.iter().all(|name| metrics.contains(name))
    })
    .await;
    assert!(server.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_reports_it_before_it_refuses_calls() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path(), &["--set", "server.drain_delay=1500ms"]);
    portrait_tests::wait_until("the server is ready", async || server.http_get("/readyz").contains("200 OK"))
        .await;
    let channel = connect(server.grpc_url()).await;
    let signalled = std::time::Instant::now();
    rustix::process::kill_process(server.pid(), rustix::process::Signal::TERM).expect("the process runs");
    portrait_tests::wait_until("the server reports that it is about to drain", async || {
        server.http_get("/readyz").contains("about to drain")
    })
    .await;
    // During the drain delay calls still succeed, on existing and on new connections.
    for channel in [channel, connect(server.grpc_url()).await] {
        let request = TrackRequest { events: vec![large(1)], backfill: false };
        let taken = IngestServiceClient::new(channel).track(request).await.expect("accepted").into_inner();
        assert_eq!(taken.accepted, 1, "{:?}", taken.rejected);
    }
    let mut server = server;
    portrait_tests::wait_until("the server has exited", async || server.exit_status().is_some()).await;
    assert!(server.exit_status().is_some_and(|status| status.success()));
    assert!(signalled.elapsed() >= std::time::Duration::from_millis(1500), "{:?}", signalled.elapsed());
}

/// Event of about 4 KiB.
fn large(number: usize) -> Event {
    let property = |index: usize| (format!("property-{index}"), "x".repeat(250));
    Event {
        event_id: format!("e{number}"),
        user_id: format!("u{}", number % 100),
        action: Action::View.into(),
        occurred_at: Some(prost_types::Timestamp { seconds: 1_767_225_600, nanos: 0 }),
        properties: (0..16).map(property).collect(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_failed_disk_exits_and_its_successor_has_every_acknowledged_event() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path(), &[]);
    let mut client = IngestServiceClient::new(connect(server.grpc_url()).await);
    // After the rename no file can be created in the database folder, as on a failed disk.
    let database = data.path().join("data");
    let moved = data.path().join("moved");
    std::fs::rename(&database, &moved).expect("the database's folder");
    let mut acknowledged = 0;
    for batch in 0.. {
        let events = (batch * 1000..(batch + 1) * 1000).map(large).collect();
        match client.track(TrackRequest { events, backfill: true }).await {
            Ok(response) => acknowledged += u64::from(response.into_inner().accepted),
            Err(_) => break,
        }
        assert!(batch < 500, "2 GiB were written to a failed disk");
    }
    portrait_tests::wait_until("the server has exited", async || server.exit_status().is_some()).await;
    assert!(server.exit_status().is_some_and(|status| !status.success()));
    std::fs::rename(&moved, &database).expect("the database's folder");
    let next = Server::start(data.path(), &[]);
    let channel = connect(next.grpc_url()).await;
    portrait_client::wait_until_applied(channel.clone()).await.expect("the log is applied");
    let kept: u64 = portrait_tests::census(channel).await.values().map(|(applied, _)| applied).sum();
    assert!(acknowledged > 0 && kept >= acknowledged, "{acknowledged} were acknowledged, {kept} are applied");
}

#[test]
fn the_configuration_is_dumped_and_unknown_keys_are_refused() {
    let dumped = portrait_command()
        .args(["serve", "--dump-config", "--set", "ingest.linger=1ms"])
        .env("PORTRAIT__FEATURE__BATCH_RECORDS", "77")
        .output()
        .expect("a running process");
    let text = String::from_utf8_lossy(&dumped.stdout);
    assert!(
        dumped.status.success() && text.contains("linger = \"1ms\"") && text.contains("batch_records = 77"),
        "{text}"
    );
    let refused =
        portrait_command().args(["serve", "--set", "ingest.lingr=1ms"]).output().expect("a running process");
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && message.contains("lingr"), "{message}");
}

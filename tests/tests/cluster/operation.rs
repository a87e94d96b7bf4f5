//! The process as operators see it: ports, data directories, health, configuration and an orderly end.

use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{Action, Event, TrackRequest};
use portrait_tests::{Server, connect, portrait_command};

fn refused(data: &std::path::Path, extra: &[&str]) -> String {
    Server::try_start(data, extra).err().expect("the server must not start")
}

#[test]
fn a_port_in_use_is_named_with_its_key_and_nothing_is_created() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(&data.path().join("first"), &[]);
    let taken = server.grpc_url().trim_start_matches("http://").to_owned();
    let second = data.path().join("second");
    let said = refused(&second, &["--set", &format!("server.listen={taken}")]);
    for part in [taken.as_str(), "is in use", "--listen", "server.listen"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(!second.exists(), "a server that cannot listen must not create a store");
}

#[test]
fn a_data_directory_that_is_in_use_or_of_another_version_is_refused() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(data.path(), &[]);
    let said = refused(data.path(), &[]);
    assert!(said.contains("in use by another process"), "{said}");
    assert!(server.stop().success());
    let format = data.path().join("portrait-format");
    let text = std::fs::read_to_string(&format).expect("a store says its format");
    std::fs::write(&format, text.replace("format = 3", "format = 99")).expect("written");
    let said = refused(data.path(), &[]);
    for part in ["portrait-format", "format 99", "run the release that wrote it"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let said = refused(data.path().parent().expect("a parent"), &[]);
    assert!(said.contains("not a store"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_ready_measured_and_stops_in_order() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(data.path(), &[]);
    portrait_tests::until("the server is ready", async || server.http_get("/readyz").contains("200 OK"))
        .await;
    assert!(server.http_get("/livez").contains("200 OK"));
    let event = Event {
        user_id: "lena".to_owned(),
        action: Action::View.into(),
        occurred_at: Some(prost_types::Timestamp { seconds: 1_767_225_600, nanos: 0 }),
        ..Default::default()
    };
    let mut client = IngestServiceClient::new(connect(server.grpc_url()).await);
    client.track(TrackRequest { events: vec![event], backfill: false }).await.expect("taken");
    portrait_tests::until("what was done is measured", async || {
        let metrics = server.http_get("/metrics");
        let measured =
            ["portrait_ingest_accepted_total", "portrait_feature_commits_total", "portrait_grpc_calls_total"];
        measured.iter().all(|name| metrics.contains(name))
    })
    .await;
    assert!(server.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_says_so_before_it_refuses_a_call() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(data.path(), &["--set", "server.drain_delay=1500ms"]);
    portrait_tests::until("the server is ready", async || server.http_get("/readyz").contains("200 OK"))
        .await;
    let channel = connect(server.grpc_url()).await;
    let told = std::time::Instant::now();
    rustix::process::kill_process(server.pid(), rustix::process::Signal::TERM).expect("it is there");
    portrait_tests::until("the server says that it will drain", async || {
        server.http_get("/readyz").contains("about to drain")
    })
    .await;
    // Whoever has not heard of it yet is answered, on connections of before and new ones.
    for channel in [channel, connect(server.grpc_url()).await] {
        let request = TrackRequest { events: vec![large(1)], backfill: false };
        let taken = IngestServiceClient::new(channel).track(request).await.expect("taken").into_inner();
        assert_eq!(taken.accepted, 1, "{:?}", taken.rejected);
    }
    let mut server = server;
    portrait_tests::until("the server has ended", async || server.ended().is_some()).await;
    assert!(server.ended().is_some_and(|status| status.success()));
    assert!(told.elapsed() >= std::time::Duration::from_millis(1500), "{:?}", told.elapsed());
}

/// An event of some 4 KiB.
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
async fn a_server_whose_disk_fails_ends_and_the_next_one_has_everything_acknowledged() {
    let data = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(data.path(), &[]);
    let mut client = IngestServiceClient::new(connect(server.grpc_url()).await);
    // Files can be created there no more, as on a disk that went away.
    let (here, away) = (data.path().join("data"), data.path().join("away"));
    std::fs::rename(&here, &away).expect("the database's folder");
    let mut acknowledged = 0;
    for batch in 0.. {
        let events = (batch * 1000..(batch + 1) * 1000).map(large).collect();
        match client.track(TrackRequest { events, backfill: true }).await {
            Ok(answer) => acknowledged += u64::from(answer.into_inner().accepted),
            Err(_) => break,
        }
        assert!(batch < 500, "2 GiB are written and the disk is gone");
    }
    portrait_tests::until("the server has ended", async || server.ended().is_some()).await;
    assert!(server.ended().is_some_and(|status| !status.success()));
    std::fs::rename(&away, &here).expect("the database's folder");
    let next = Server::start(data.path(), &[]);
    let channel = connect(next.grpc_url()).await;
    portrait_client::wait_until_applied(channel.clone()).await.expect("the log is applied");
    let kept: u64 = portrait_tests::census(channel).await.values().map(|(applied, _)| applied).sum();
    assert!(acknowledged > 0 && kept >= acknowledged, "{acknowledged} were acknowledged, {kept} are there");
}

#[test]
fn the_whole_configuration_is_dumped_and_unknown_keys_are_refused() {
    let dumped = portrait_command()
        .args(["serve", "--dump-config", "--set", "ingest.linger=1ms"])
        .env("PORTRAIT__FEATURE__BATCH_RECORDS", "77")
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&dumped.stdout);
    assert!(
        dumped.status.success() && text.contains("linger = \"1ms\"") && text.contains("batch_records = 77"),
        "{text}"
    );
    let refused = portrait_command().args(["serve", "--set", "ingest.lingr=1ms"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("lingr"), "{said}");
}

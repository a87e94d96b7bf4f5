//! One call, followed from room to room by a collector that all processes of a deployment tell.

use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{Action, EraseRequest, Event, TrackRequest, WatchProfileChangesRequest, WatchStart};
use portrait_store_redis::testing::Server as Redis;
use portrait_tests::{Cluster, Collector, Server, Subscriber, connect, until};
use tonic::Request;

/// A call of a caller whose `traceparent` says `flags`.
fn track(user: &str, trace_id: &str, flags: &str) -> Request<TrackRequest> {
    let event = Event {
        user_id: user.to_owned(),
        action: Action::View.into(),
        occurred_at: Some(prost_types::Timestamp { seconds: 1_767_225_600, nanos: 0 }),
        ..Default::default()
    };
    let mut request = Request::new(TrackRequest { events: vec![event], backfill: true });
    let parent = format!("00-{trace_id}-00f067aa0ba902b7-{flags}").parse().expect("ASCII");
    request.metadata_mut().insert("traceparent", parent);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_followed_over_the_log_and_the_feed_to_the_subscriber_it_is_delivered_to() {
    let collector = Collector::start().await;
    let redis = Redis::start(&[("appendonly", "yes"), ("appendfsync", "always")]);
    let endpoint = format!("trace.endpoint={}", collector.url());
    let cluster = Cluster::start(&redis.url(), &[&endpoint, "trace.sample=0", "model.automatic=false"]);
    let line = cluster.connect().await;
    let everything = WatchProfileChangesRequest { start: WatchStart::Earliest.into(), ..Default::default() };
    let mut changes = Subscriber::request_stream(line.clone(), everything).await.expect("a subscription");
    let mut client = IngestServiceClient::new(line);
    let (quiet, followed) = ("0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736");
    // First one that nobody is to follow, then one that somebody is.
    for (user, trace_id, flags) in [("quiet", quiet, "00"), ("lena", followed, "01")] {
        let answer = client.track(track(user, trace_id, flags)).await.expect("taken").into_inner();
        assert_eq!(answer.accepted, 1, "{:?}", answer.rejected);
    }
    let mut told = 0;
    while told < 2 {
        let answer = changes.message().await.expect("it goes on").expect("it never ends without a word");
        told += usize::from(matches!(answer.kind, Some(Kind::Change(_))));
    }
    until("every room has told", async || collector.spans(Some(followed)).len() == 4).await;
    println!("{}", collector.tree(followed));

    let spans = collector.spans(None);
    let way: Vec<_> = [
        ("portrait-ingest", "portrait.v1.IngestService/Track"),
        ("portrait-ingest", "append"),
        ("portrait-feature", "commit"),
        ("portrait-query", "deliver"),
    ]
    .into_iter()
    .map(|(service, name)| {
        let here = |span: &&portrait_tests::CollectedSpan| span.service == service && span.span.name == name;
        let mut found = spans.iter().filter(here);
        let span = &found.next().unwrap_or_else(|| panic!("no {name} of {service} in {spans:#?}")).span;
        assert!(found.next().is_none(), "{name} was followed twice");
        span
    })
    .collect();
    assert_eq!(way[0].parent_span_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
    for pair in way.windows(2) {
        assert_eq!(pair[1].parent_span_id, pair[0].span_id, "{} follows {}", pair[1].name, pair[0].name);
        assert!(pair[1].start_time_unix_nano >= pair[0].start_time_unix_nano);
    }
    assert!(collector.spans(Some(quiet)).is_empty(), "nobody asked to follow it");
    let all = format!("{spans:?}");
    assert!(!all.contains("lena"), "a span names a shopper: {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_followed_to_the_deletion_that_subscribers_are_told_of() {
    let collector = Collector::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let endpoint = format!("trace.endpoint={}", collector.url());
    let server = Server::start(folder.path(), &["--set", &endpoint, "--set", "trace.sample=1"]);
    let line = connect(server.grpc_url()).await;
    let everything = WatchProfileChangesRequest { start: WatchStart::Earliest.into(), ..Default::default() };
    let mut changes = Subscriber::request_stream(line.clone(), everything).await.expect("a subscription");
    let mut client = IngestServiceClient::new(line);
    client.track(track("lena", "0af7651916cd43dd8448eb211c80319c", "00")).await.expect("taken");
    let followed = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut erase = Request::new(EraseRequest { user_id: "lena".to_owned(), ..Default::default() });
    let parent = format!("00-{followed}-00f067aa0ba902b7-01").parse().expect("ASCII");
    erase.metadata_mut().insert("traceparent", parent);
    client.erase(erase).await.expect("taken");
    let mut gone = false;
    while !gone {
        let answer = changes.message().await.expect("it goes on").expect("it never ends without a word");
        gone = matches!(answer.kind, Some(Kind::Change(change)) if change.deleted);
    }
    until("the deletion is told of", async || {
        let told = collector.spans(Some(followed));
        ["commit", "deliver"].iter().all(|name| told.iter().any(|span| span.span.name == *name))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_a_stream_are_followed_each_and_a_collector_that_is_away_holds_up_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::start().await;
    let away = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let away = format!("http://{}", away.local_addr().expect("an address"));
    for (name, endpoint) in [("there", collector.url()), ("away", away.as_str())] {
        let data = folder.path().join(name);
        let endpoint = format!("trace.endpoint={endpoint}");
        let server = Server::start(&data, &["--set", &endpoint, "--set", "trace.sample=1"]);
        let mut client = IngestServiceClient::new(connect(server.grpc_url()).await);
        let requests = (0..20).map(|number| portrait_proto::v1::TrackStreamRequest {
            request_number: number,
            events: track("lena", "4bf92f3577b34da6a3ce929d0e0e4736", "00").into_inner().events,
            backfill: true,
        });
        let stream = client.track_stream(tokio_stream::iter(requests.collect::<Vec<_>>())).await;
        let mut answers = stream.expect("a stream").into_inner();
        let mut accepted = 0;
        while let Some(answer) = answers.message().await.expect("answered") {
            accepted += answer.accepted;
        }
        assert_eq!(accepted, 20);
        // What was not told yet is told at the end, or given up in time.
        assert!(server.stop().success());
    }
    let requests = |name: &str| collector.spans(None).iter().filter(|span| span.span.name == name).count();
    assert_eq!(requests("portrait.v1.IngestService/TrackStream request"), 20);
    assert_eq!((requests("append"), requests("commit")), (20, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_of_a_call_that_is_followed_have_its_trace() {
    let (folder, collector) = (tempfile::tempdir().expect("a folder"), Collector::start().await);
    let endpoint = format!("trace.endpoint={}", collector.url());
    let settings = [&endpoint, "trace.sample=0", "log.format=json", "log.filter=debug"];
    let settings = settings.iter().flat_map(|setting| ["--set", setting]).collect::<Vec<_>>();
    let server = Server::start(folder.path(), &settings);
    let mut client = IngestServiceClient::new(connect(server.grpc_url()).await);
    let (quiet, followed) = ("0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736");
    client.track(track("lena", quiet, "00")).await.expect("taken");
    client.track(track("lena", followed, "01")).await.expect("taken");
    let mut empty = track("lena", followed, "01");
    empty.get_mut().events.clear();
    client.track(empty).await.expect_err("no events");

    let answered = || {
        let lines = server.log();
        let lines = lines.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let is_of_call =
            |line: &serde_json::Value| line["span"]["method"] == "/portrait.v1.IngestService/Track";
        lines.filter(|line| line["fields"]["message"] == "answered" && is_of_call(line)).collect::<Vec<_>>()
    };
    until("all three calls have their lines", async || answered().len() >= 3).await;
    let lines = answered();
    let said = |line: &serde_json::Value| {
        let said = [&line["span"]["trace_id"], &line["fields"]["code"]];
        said.map(|value| value.as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(
        lines.iter().map(said).collect::<Vec<_>>(),
        [["", "Ok"], [followed, "Ok"], [followed, "InvalidArgument"]]
    );
}

#[test]
fn a_collector_or_a_share_that_makes_no_sense_is_refused_with_key_and_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = [
        ("trace.endpoint=collector:4317", "trace.endpoint", "http://collector:4317"),
        ("trace.endpoint=ftp://collector", "trace.endpoint", "http://collector:4317"),
        ("trace.sample=1.5", "trace.sample", "from 0 to 1"),
        ("trace.sample=-0.1", "trace.sample", "from 0 to 1"),
    ];
    for (setting, key, remedy) in rows {
        let said = Server::try_start(folder.path(), &["--set", setting]).err().expect("it must not start");
        assert!(said.contains(key) && said.contains(remedy), "{setting}: {said}");
    }
}

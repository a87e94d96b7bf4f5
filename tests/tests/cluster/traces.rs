//! Distributed traces: one sampled call across all processes of a deployment, exported to an OTLP collector.

use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{Action, EraseRequest, Event, TrackRequest, WatchProfileChangesRequest, WatchStart};
use portrait_store_redis::testing::Server as Redis;
use portrait_tests::{Cluster, Collector, Server, Subscriber, connect, wait_until};
use tonic::Request;

/// Request with a `traceparent` with these flags.
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
async fn a_call_is_traced_over_log_and_feed_to_the_delivery() {
    let collector = Collector::start().await;
    let redis = Redis::start(&[("appendonly", "yes"), ("appendfsync", "always")]);
    let endpoint = format!("trace.endpoint={}", collector.url());
    let cluster = Cluster::start(&redis.url(), &[&endpoint, "trace.sample=0", "model.automatic=false"]);
    let channel = cluster.connect().await;
    let everything = WatchProfileChangesRequest { start: WatchStart::Earliest.into(), ..Default::default() };
    let mut changes = Subscriber::request_stream(channel.clone(), everything).await.expect("a subscription");
    let mut client = IngestServiceClient::new(channel);
    let (unsampled, sampled) = ("0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736");
    // First an unsampled call, then a sampled one.
    for (user, trace_id, flags) in [("omar", unsampled, "00"), ("lena", sampled, "01")] {
        let response = client.track(track(user, trace_id, flags)).await.expect("accepted").into_inner();
        assert_eq!(response.accepted, 1, "{:?}", response.rejected);
    }
    let mut changes_received = 0;
    while changes_received < 2 {
        let response = changes
            .message()
            .await
            .expect("the subscription stays open")
            .expect("a subscription ends with a status");
        changes_received += usize::from(matches!(response.kind, Some(Kind::Change(_))));
    }
    wait_until("every service has exported its span", async || collector.spans(Some(sampled)).len() == 4)
        .await;
    println!("{}", collector.tree(sampled));

    let spans = collector.spans(None);
    let path: Vec<_> = [
        ("portrait-ingest", "portrait.v1.IngestService/Track"),
        ("portrait-ingest", "append"),
        ("portrait-feature", "commit"),
        ("portrait-query", "deliver"),
    ]
    .into_iter()
    .map(|(service, name)| {
        let matches =
            |span: &&portrait_tests::CollectedSpan| span.service == service && span.span.name == name;
        let mut found = spans.iter().filter(matches);
        let span = &found.next().unwrap_or_else(|| panic!("no {name} of {service} in {spans:#?}")).span;
        assert!(found.next().is_none(), "{name} has two spans");
        span
    })
    .collect();
    assert_eq!(path[0].parent_span_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
    for pair in path.windows(2) {
        assert_eq!(pair[1].parent_span_id, pair[0].span_id, "parent of {} is {}", pair[1].name, pair[0].name);
        assert!(pair[1].start_time_unix_nano >= pair[0].start_time_unix_nano);
    }
    assert!(collector.spans(Some(unsampled)).is_empty(), "the call is not sampled");
    let all = format!("{spans:?}");
    assert!(!all.contains("lena"), "a span contains a user id: {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_traced_to_the_delivered_deletion() {
    let collector = Collector::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let endpoint = format!("trace.endpoint={}", collector.url());
    let server = Server::start(folder.path(), &["--set", &endpoint, "--set", "trace.sample=1"]);
    let channel = connect(server.grpc_url()).await;
    let everything = WatchProfileChangesRequest { start: WatchStart::Earliest.into(), ..Default::default() };
    let mut changes = Subscriber::request_stream(channel.clone(), everything).await.expect("a subscription");
    let mut client = IngestServiceClient::new(channel);
    client.track(track("lena", "0af7651916cd43dd8448eb211c80319c", "00")).await.expect("accepted");
    let sampled = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut erase = Request::new(EraseRequest { user_id: "lena".to_owned(), ..Default::default() });
    let parent = format!("00-{sampled}-00f067aa0ba902b7-01").parse().expect("ASCII");
    erase.metadata_mut().insert("traceparent", parent);
    client.erase(erase).await.expect("accepted");
    let mut deleted = false;
    while !deleted {
        let response = changes
            .message()
            .await
            .expect("the subscription stays open")
            .expect("a subscription ends with a status");
        deleted = matches!(response.kind, Some(Kind::Change(change)) if change.deleted);
    }
    wait_until("the deletion is delivered", async || {
        let exported = collector.spans(Some(sampled));
        ["commit", "deliver"].iter().all(|name| exported.iter().any(|span| span.span.name == *name))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_of_a_stream_is_traced_and_an_unreachable_collector_blocks_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let collector = Collector::start().await;
    let unreachable = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let unreachable = format!("http://{}", unreachable.local_addr().expect("an address"));
    for (name, endpoint) in [("reachable", collector.url()), ("unreachable", unreachable.as_str())] {
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
        let mut responses = stream.expect("a stream").into_inner();
        let mut accepted = 0;
        while let Some(response) = responses.message().await.expect("answered") {
            accepted += response.accepted;
        }
        assert_eq!(accepted, 20);
        // Shutdown exports the remaining spans, or gives up after a timeout.
        assert!(server.stop().success());
    }
    let requests = |name: &str| collector.spans(None).iter().filter(|span| span.span.name == name).count();
    assert_eq!(requests("portrait.v1.IngestService/TrackStream request"), 20);
    assert_eq!((requests("append"), requests("commit")), (20, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_of_a_sampled_call_have_its_trace_id() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let collector = Collector::start().await;
    let endpoint = format!("trace.endpoint={}", collector.url());
    let settings = [&endpoint, "trace.sample=0", "log.format=json", "log.filter=debug"];
    let settings = settings.iter().flat_map(|setting| ["--set", setting]).collect::<Vec<_>>();
    let server = Server::start(folder.path(), &settings);
    let mut client = IngestServiceClient::new(connect(server.grpc_url()).await);
    let (unsampled, sampled) = ("0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736");
    client.track(track("lena", unsampled, "00")).await.expect("accepted");
    client.track(track("lena", sampled, "01")).await.expect("accepted");
    let mut empty = track("lena", sampled, "01");
    empty.get_mut().events.clear();
    client.track(empty).await.expect_err("no events");

    let answered = || {
        let lines = server.log();
        let lines = lines.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let is_of_call =
            |line: &serde_json::Value| line["span"]["method"] == "/portrait.v1.IngestService/Track";
        lines.filter(|line| line["fields"]["message"] == "responded" && is_of_call(line)).collect::<Vec<_>>()
    };
    wait_until("all three calls are logged", async || answered().len() >= 3).await;
    let lines = answered();
    let trace_and_code = |line: &serde_json::Value| {
        let fields = [&line["span"]["trace_id"], &line["fields"]["code"]];
        fields.map(|value| value.as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(
        lines.iter().map(trace_and_code).collect::<Vec<_>>(),
        [["", "Ok"], [sampled, "Ok"], [sampled, "InvalidArgument"]]
    );
}

#[test]
fn an_invalid_endpoint_or_sample_rate_is_refused_with_key_and_remedy() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rows = [
        ("trace.endpoint=collector:4317", "trace.endpoint", "http://collector:4317"),
        ("trace.endpoint=ftp://collector", "trace.endpoint", "http://collector:4317"),
        ("trace.sample=1.5", "trace.sample", "from 0 to 1"),
        ("trace.sample=-0.1", "trace.sample", "from 0 to 1"),
    ];
    for (setting, key, remedy) in rows {
        let message = Server::try_start(folder.path(), &["--set", setting]).err().expect("it must not start");
        assert!(message.contains(key) && message.contains(remedy), "{setting}: {message}");
    }
}

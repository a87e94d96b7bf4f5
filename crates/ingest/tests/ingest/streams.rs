//! Streams: responses in the order of requests, records in the order of sending, and a status that gives the reason of the end.

use super::fixture::{IngestFixture, TEST_TIMEOUT, views};
use portrait_ingest::Config;
use portrait_proto::status::reason_of;
use portrait_proto::v1::{ErrorReason, TrackStreamRequest, TrackStreamResponse};
use portrait_runtime::config::DurationSetting;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

/// Client side of a stream.
struct Stream {
    requests: mpsc::Sender<TrackStreamRequest>,
    responses: Streaming<TrackStreamResponse>,
}

impl Stream {
    async fn open(fixture: &IngestFixture) -> Self {
        let (requests, receiver) = mpsc::channel(64);
        let responses = fixture.client().track_stream(ReceiverStream::new(receiver)).await.expect("a stream");
        Self { requests, responses: responses.into_inner() }
    }

    async fn send(&self, number: u64, events: usize) {
        let events = views("u1", number as usize * 1000, events);
        let request = TrackStreamRequest { request_number: number, events, backfill: true };
        self.requests.send(request).await.expect("the stream is open");
    }

    async fn next_response(&mut self) -> Result<Option<TrackStreamResponse>, Status> {
        tokio::time::timeout(TEST_TIMEOUT, self.responses.message()).await.expect("a response in time")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_and_records_keep_the_order_of_the_requests() {
    let fixture = IngestFixture::new(&Config::default());
    let mut stream = Stream::open(&fixture).await;
    for number in 0..50 {
        stream.send(number, 20).await;
    }
    for number in 0..50 {
        let response = stream.next_response().await.expect("a response").expect("a message");
        assert_eq!((response.request_number, response.accepted), (number, 20));
    }
    let Stream { requests, mut responses } = stream;
    drop(requests);
    assert!(responses.message().await.expect("an end without an error").is_none());
    let logged = fixture.log(fixture.partition("u1")).await;
    let ids: Vec<String> =
        logged.iter().filter_map(|record| record.record_id.as_ref()).map(ToString::to_string).collect();
    let expected: Vec<String> =
        (0..50).flat_map(|number| (0..20).map(move |part| format!("e{}", number * 1000 + part))).collect();
    assert_eq!(ids, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_waits_for_a_lagging_partition_and_continues() {
    let fixture = IngestFixture::new(&Config { lag_records_max: 10, ..Config::default() });
    let mut stream = Stream::open(&fixture).await;
    stream.send(1, 11).await;
    assert_eq!(stream.next_response().await.expect("a response").expect("a message").accepted, 11);
    stream.send(2, 5).await;
    let early = tokio::time::timeout(std::time::Duration::from_millis(50), stream.responses.message()).await;
    assert!(early.is_err(), "a response although the partition lags");
    fixture.apply(fixture.partition("u1")).await;
    assert_eq!(stream.next_response().await.expect("a response").expect("a message").request_number, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_waits_too_long_ends_with_the_reason() {
    let wait_max = DurationSetting::from_millis(50);
    let fixture =
        IngestFixture::new(&Config { lag_records_max: 10, stream_wait_max: wait_max, ..Config::default() });
    let mut stream = Stream::open(&fixture).await;
    stream.send(1, 11).await;
    assert!(stream.next_response().await.expect("a response").is_some());
    stream.send(2, 5).await;
    let status = stream.next_response().await.expect_err("a lag for too long");
    let reported = (status.code(), reason_of(&status));
    assert_eq!(reported, (Code::ResourceExhausted, Some(ErrorReason::Overloaded)));
    assert!(stream.responses.message().await.expect("nothing follows a status").is_none());
    assert_eq!(fixture.log(fixture.partition("u1")).await.len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_answers_what_was_enqueued_and_refuses_the_rest() {
    let fixture = IngestFixture::new(&Config::default());
    let shutdown = CancellationToken::new();
    let drained = fixture.service.run(&shutdown);
    let mut stream = Stream::open(&fixture).await;
    stream.send(1, 20).await;
    assert_eq!(stream.next_response().await.expect("a response").expect("a message").accepted, 20);
    fixture.faulty.hold_appends(true);
    stream.send(2, 20).await;
    shutdown.cancel();
    fixture.faulty.hold_appends(false);
    let mut accepted = 20;
    let status = loop {
        match stream.next_response().await {
            Ok(response) => accepted += response.expect("a status at the end").accepted,
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), reason_of(&status)), (Code::Unavailable, Some(ErrorReason::ShuttingDown)));
    tokio::time::timeout(TEST_TIMEOUT, drained).await.expect("an end").expect("no panic");
    assert_eq!(fixture.logs().await.len(), accepted as usize);
}

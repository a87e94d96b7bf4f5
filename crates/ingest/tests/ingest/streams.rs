//! Streams: answers in the order of requests, records in the order in which they were sent, and an end that says why.

use super::fixture::{PATIENCE, IngestFixture, views};
use portrait_ingest::Config;
use portrait_proto::status::reason_of;
use portrait_proto::v1::{ErrorReason, TrackStreamRequest, TrackStreamResponse};
use portrait_runtime::config::DurationSetting;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

/// A stream in both directions.
struct Stream {
    requests: mpsc::Sender<TrackStreamRequest>,
    answers: Streaming<TrackStreamResponse>,
}

impl Stream {
    async fn open(room: &IngestFixture) -> Self {
        let (requests, receiver) = mpsc::channel(64);
        let answers = room.client().track_stream(ReceiverStream::new(receiver)).await.expect("a stream");
        Self { requests, answers: answers.into_inner() }
    }

    async fn send(&self, number: u64, events: usize) {
        let events = views("u1", number as usize * 1000, events);
        let request = TrackStreamRequest { request_number: number, events, backfill: true };
        self.requests.send(request).await.expect("the stream is open");
    }

    async fn answer(&mut self) -> Result<Option<TrackStreamResponse>, Status> {
        tokio::time::timeout(PATIENCE, self.answers.message()).await.expect("answered in time")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_records_keep_the_order_of_the_requests() {
    let room = IngestFixture::of(&Config::default());
    let mut stream = Stream::open(&room).await;
    for number in 0..50 {
        stream.send(number, 20).await;
    }
    for number in 0..50 {
        let answer = stream.answer().await.expect("answered").expect("an answer");
        assert_eq!((answer.request_number, answer.accepted), (number, 20));
    }
    let Stream { requests, mut answers } = stream;
    drop(requests);
    assert!(answers.message().await.expect("a good end").is_none());
    let logged = room.log(room.partition("u1")).await;
    let ids: Vec<String> =
        logged.iter().filter_map(|record| record.record_id.as_ref()).map(ToString::to_string).collect();
    let expected: Vec<String> =
        (0..50).flat_map(|number| (0..20).map(move |part| format!("e{}", number * 1000 + part))).collect();
    assert_eq!(ids, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_waits_for_a_partition_that_lags_and_goes_on() {
    let room = IngestFixture::of(&Config { lag_records_max: 10, ..Config::default() });
    let mut stream = Stream::open(&room).await;
    stream.send(1, 11).await;
    assert_eq!(stream.answer().await.expect("answered").expect("an answer").accepted, 11);
    stream.send(2, 5).await;
    let early = tokio::time::timeout(std::time::Duration::from_millis(50), stream.answers.message()).await;
    assert!(early.is_err(), "it was answered although the partition lags");
    room.apply(room.partition("u1")).await;
    assert_eq!(stream.answer().await.expect("answered").expect("an answer").request_number, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_patience_is_over_is_told_why_it_ends() {
    let patience = DurationSetting::from_millis(50);
    let room = IngestFixture::of(&Config { lag_records_max: 10, stream_wait_max: patience, ..Config::default() });
    let mut stream = Stream::open(&room).await;
    stream.send(1, 11).await;
    assert!(stream.answer().await.expect("answered").is_some());
    stream.send(2, 5).await;
    let status = stream.answer().await.expect_err("it lags for too long");
    let told = (status.code(), reason_of(&status));
    assert_eq!(told, (Code::ResourceExhausted, Some(ErrorReason::Overloaded)));
    assert!(stream.answers.message().await.expect("nothing follows a status").is_none());
    assert_eq!(room.log(room.partition("u1")).await.len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_answers_what_was_taken_and_sends_the_rest_elsewhere() {
    let room = IngestFixture::of(&Config::default());
    let shutdown = CancellationToken::new();
    let drained = room.service.run(&shutdown);
    let mut stream = Stream::open(&room).await;
    stream.send(1, 20).await;
    assert_eq!(stream.answer().await.expect("answered").expect("an answer").accepted, 20);
    room.faulty.hold_appends(true);
    stream.send(2, 20).await;
    shutdown.cancel();
    room.faulty.hold_appends(false);
    let mut taken = 20;
    let status = loop {
        match stream.answer().await {
            Ok(answer) => taken += answer.expect("a status ends it").accepted,
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), reason_of(&status)), (Code::Unavailable, Some(ErrorReason::ShuttingDown)));
    tokio::time::timeout(PATIENCE, drained).await.expect("it ends").expect("no panic");
    assert_eq!(room.logs().await.len(), taken as usize);
}

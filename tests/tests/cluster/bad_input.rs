//! Invalid input is rejected with the documented code, reason and field; valid input beside it is accepted.

use portrait::import::{self, ImportArgs, ImportReport};
use portrait_client::ServerArgs;
use portrait_connect::files::Format;
use portrait_proto::status::{reason_name, reason_of};
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{Action, ErrorReason, Event, TrackRequest, TrackStreamRequest};
use portrait_tests::logs::{prepared, shipped};
use portrait_tests::{Log, Server, census, connect};
use prost_types::Timestamp;
use std::path::Path;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

fn valid_event(number: usize) -> Event {
    Event {
        event_id: format!("e{number}"),
        user_id: format!("u{number}"),
        action: Action::View.into(),
        occurred_at: Some(Timestamp { seconds: 1_767_225_600, nanos: 0 }),
        ..Default::default()
    }
}

fn check_status(status: &Status, code: Code, reason: ErrorReason, field: Option<&str>) {
    let reason = Some(reason);
    assert_eq!((status.code(), reason_of(status)), (code, reason), "{status:?}");
    let details = status.get_error_details();
    let named = details.bad_request().map(|bad| bad.field_violations[0].field.as_str());
    assert_eq!(named, field, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_items_are_rejected_one_by_one_and_valid_ones_accepted() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path(), &[]);
    let mut client = IngestServiceClient::new(connect(server.grpc_url()).await);
    let mut events: Vec<Event> = (0..12).map(valid_event).collect();
    events[1].user_id.clear();
    events[2].user_id = "x".repeat(129);
    events[3].event_id = "x".repeat(129);
    events[4].price = Some(f64::NAN);
    events[5].price = Some(f64::INFINITY);
    events[6].occurred_at = Some(Timestamp { seconds: 0, nanos: 0 });
    events[7].occurred_at = Some(Timestamp { seconds: 4_102_444_800, nanos: 0 });
    events[8].action = 0;
    events[9].action = 4711;
    events[10].quantity = Some(f64::NEG_INFINITY);
    let response =
        client.track(TrackRequest { events, backfill: false }).await.expect("a response").into_inner();
    let rejected: Vec<_> =
        response.rejected.iter().map(|item| (item.index, item.reason(), item.field.as_str())).collect();
    let expected = [
        (1, ErrorReason::EmptyId, "events[1].user_id"),
        (2, ErrorReason::TooLong, "events[2].user_id"),
        (3, ErrorReason::TooLong, "events[3].event_id"),
        (4, ErrorReason::NotFinite, "events[4].price"),
        (5, ErrorReason::NotFinite, "events[5].price"),
        (6, ErrorReason::TimeTooOld, "events[6].occurred_at"),
        (7, ErrorReason::TimeInFuture, "events[7].occurred_at"),
        (8, ErrorReason::UnknownAction, "events[8].action"),
        (9, ErrorReason::UnknownAction, "events[9].action"),
        (10, ErrorReason::NotFinite, "events[10].quantity"),
    ];
    assert_eq!(rejected, expected);
    assert_eq!(response.accepted, 2);
    portrait_client::wait_until_applied(connect(server.grpc_url()).await).await.expect("applied");
    let users: Vec<String> = census(connect(server.grpc_url()).await).await.into_keys().collect();
    assert_eq!(users, ["u0", "u11"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_limits_of_count_and_size() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path(), &[]);
    let mut client = IngestServiceClient::new(connect(server.grpc_url()).await);
    let track = |events: Vec<Event>| TrackRequest { events, backfill: false };
    let status = client.track(track((0..1001).map(valid_event).collect())).await.expect_err("1001 events");
    check_status(&status, Code::InvalidArgument, ErrorReason::TooMany, Some("events"));
    let status = client.track(track(Vec::new())).await.expect_err("no events");
    check_status(&status, Code::InvalidArgument, ErrorReason::EmptyBatch, Some("events"));
    let mut oversize = valid_event(1);
    oversize.query = "q".repeat(9 << 20);
    let status = client.track(track(vec![oversize])).await.expect_err("9 MiB");
    check_status(&status, Code::InvalidArgument, ErrorReason::TooLong, None);
    let many = TrackStreamRequest {
        request_number: 2,
        events: (0..1001).map(valid_event).collect(),
        backfill: false,
    };
    let few =
        TrackStreamRequest { request_number: 1, events: (0..3).map(valid_event).collect(), backfill: false };
    let mut responses =
        client.track_stream(tokio_stream::iter([few, many])).await.expect("a stream").into_inner();
    let first = responses.message().await.expect("a response").expect("a response");
    assert_eq!((first.request_number, first.accepted), (1, 3));
    let status = responses.message().await.expect_err("1001 events");
    check_status(&status, Code::InvalidArgument, ErrorReason::TooMany, Some("events"));
}

/// Codec that sends bytes unchanged.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let length = bytes::Buf::remaining(buffer);
        Ok(Some(bytes::Buf::copy_to_bytes(buffer, length).to_vec()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_utf8_and_truncated_messages_are_refused_with_the_field() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path(), &[]);
    let mut client = tonic::client::Grpc::new(connect(server.grpc_url()).await);
    // { events: [Event { user_id: b"\xff\xfe" }] }, and a truncated message; `events` is field 1 of Track and field 2 of TrackStream.
    for (path, events) in [("Track", 0x0a), ("TrackStream", 0x12)] {
        let not_utf8 = vec![events, 0x04, 0x12, 0x02, 0xff, 0xfe];
        for (body, field) in [(not_utf8, Some("events.user_id")), (vec![events, 0x7f, 0x01], None)] {
            client.ready().await.expect("connected");
            let path = format!("/portrait.v1.IngestService/{path}").parse().expect("a path");
            let request = Request::new(tokio_stream::iter([body.clone()]));
            let status = match client.streaming(request, path, Raw).await {
                Ok(response) => response.into_inner().message().await.expect_err("bad bytes"),
                Err(status) => status,
            };
            assert_eq!(
                (status.code(), reason_of(&status)),
                (Code::InvalidArgument, Some(ErrorReason::BadText))
            );
            let details = status.get_error_details();
            if let Some(field) = field {
                let violations = &details.bad_request().expect("a field is named").field_violations;
                assert_eq!(violations[0].field, field);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_events_and_still_serves_reads() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path(), &["--set", "store.reserve=1048576GiB"]);
    let mut client = IngestServiceClient::new(connect(server.grpc_url()).await);
    let request = TrackRequest { events: vec![valid_event(1)], backfill: false };
    let status = client.track(request.clone()).await.expect_err("the disk is full");
    check_status(&status, Code::ResourceExhausted, ErrorReason::StoreFull, None);
    assert!(status.get_error_details().retry_info().is_some());
    assert!(census(connect(server.grpc_url()).await).await.is_empty());
    let readiness = server.http_get("/readyz");
    assert!(readiness.contains("200 OK") && readiness.contains("free some space"), "{readiness}");
    assert!(server.stop().success());
    let server = Server::start(data.path(), &[]);
    assert!(!server.http_get("/readyz").contains("free some space"));
    let mut client = IngestServiceClient::new(connect(server.grpc_url()).await);
    assert_eq!(client.track(request).await.expect("the disk has space again").into_inner().accepted, 1);
}

/// Imports a file; returns its counts, and the error that ended it.
async fn import_of(server: &Server, file: &Path, format: Format) -> (ImportReport, String) {
    let args = ImportArgs::new(file, format, ServerArgs::at(server.grpc_url()));
    let mut report = ImportReport::default();
    let outcome = import::import(&args, &mut report).await;
    (report, outcome.err().map(|error| format!("{error:#}")).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_on_ends_the_import_with_its_line() {
    check_bad_files(&prepared::OTTO).await;
}

/// Imports damaged copies of a compressed log of OTTO.
pub(super) async fn check_bad_files(otto: &Log) {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(&data.path().join("store"), &[]);
    let whole = std::fs::read(otto.path()).expect("the log");
    let file = data.path().join("log");

    std::fs::write(&file, &whole[..whole.len() / 2]).expect("written");
    let (report, message) = import_of(&server, &file, shipped("otto")).await;
    assert!(message.contains("line ") && message.contains("truncated"), "{message}");
    assert!(
        report.read > 0 && report.accepted == report.read,
        "rows before the truncation are sent: {report}"
    );

    std::fs::write(&file, &whole).expect("written");
    for format in [shipped("rees46"), shipped("taobao")] {
        let (_, message) = import_of(&server, &file, format).await;
        assert!(message.contains("line 1:") && message.contains("--format otto"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_is_rejected_with_line_and_column_and_the_import_goes_on() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(&data.path().join("store"), &[]);
    let file = data.path().join("log");
    let good = "1,2,1659304800025,clicks";
    let rows = [
        ("1,2,16593048", "FIELD_COUNT", "line 3: has 3 fields, 4 are expected"),
        ("1,2,soon,clicks", "BAD_TIME", "line 3, column 3 (ts): \"soon\" is not"),
        (
            "1,2,1659304800025,looks",
            "UNKNOWN_ACTION",
            "line 3, column 4 (type): \"looks\" is not one of clicks",
        ),
        (",2,1659304800025,clicks", "EMPTY_ID", "line 3, column 1 (session): is missing"),
        // Rows that the server rejects have the line of the file too.
        ("1,2,44000,clicks", "TIME_TOO_OLD", "line 3, column 3 (occurred_at): lies "),
        (" 1,2,1659304800025,clicks", "BAD_TEXT", "line 3, column 1 (user_id): begins or ends with a space"),
    ];
    for (row, reason, expected) in rows {
        let text = format!("session,aid,ts,type\n{good}\n{row}\n{good}\n");
        std::fs::write(&file, text).expect("written");
        let (report, message) = import_of(&server, &file, shipped("otto")).await;
        assert_eq!(message, "", "{row}");
        assert_eq!((report.read, report.accepted, report.rejected.rows()), (3, 2, 1), "{row}");
        let (found, count) = report.rejected.by_reason().next().expect("a rejection");
        assert_eq!(found, reason, "{row}");
        assert!(count.example.contains(expected), "{expected:?} is not in {}", count.example);
    }
    std::fs::write(&file, "{\"user_id\": \"u1\", \"actoin\": \"view\"}\n").expect("written");
    let (report, _) = import_of(&server, &file, shipped("jsonl")).await;
    let (reason, count) = report.rejected.by_reason().next().expect("a rejection");
    assert_eq!(reason, "UNKNOWN_FIELD");
    assert!(count.example.contains("line 1, column 19 (actoin)"), "{}", count.example);
}

#[test]
fn every_error_reason_has_a_unique_name() {
    let reasons =
        (1..=33).map(|number| ErrorReason::try_from(number).expect("reasons are numbered without gaps"));
    let names: std::collections::BTreeSet<_> = reasons.map(reason_name).collect();
    assert_eq!(names.len(), 33);
}

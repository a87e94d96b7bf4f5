//! Overload: every limit is reported with a retry delay, and no accepted event is lost.

use super::fixture::{IngestFixture, TEST_TIMEOUT, track, view, views};
use portrait_ingest::Config;
use portrait_proto::status::reason_of;
use portrait_proto::v1::{ErrorReason, Event, TrackRequest};
use portrait_runtime::config::ByteSize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

fn check_overloaded(status: &Status) {
    let reported = (status.code(), reason_of(status));
    assert_eq!(reported, (Code::ResourceExhausted, Some(ErrorReason::Overloaded)), "{status:?}");
    assert!(status.get_error_details().retry_info().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_limited_to_the_rate_except_for_a_backfill() {
    let fixture =
        IngestFixture::new(&Config { user_events_per_second: 2, user_burst: 3, ..Config::default() });
    let mut events = views("robot", 0, 5);
    events.push(view("human", "h1"));
    let response = fixture.client().track(track(events)).await.expect("a response").into_inner();
    let reported: Vec<_> =
        response.rejected.iter().map(|rejection| (rejection.index, rejection.reason())).collect();
    let limited = ErrorReason::RateLimited;
    assert_eq!((response.accepted, reported), (4, vec![(3, limited), (4, limited)]));
    assert!(response.rejected[0].message.contains("backfill"), "{}", response.rejected[0].message);
    let backfill = TrackRequest { events: views("robot", 10, 50), backfill: true };
    assert_eq!(fixture.client().track(backfill).await.expect("a response").into_inner().accepted, 50);
    fixture.clock.advance(1000);
    let response = fixture.client().track(track(views("robot", 100, 5))).await.expect("a response");
    assert_eq!(response.into_inner().accepted, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_partition_refuses_until_it_has_caught_up() {
    let fixture = IngestFixture::new(&Config { lag_records_max: 10, ..Config::default() });
    let partition = fixture.partition("u1");
    fixture.client().track(track(views("u1", 0, 11))).await.expect("no lag yet");
    let status =
        fixture.client().track(track(vec![view("u1", "late")])).await.expect_err("a lagging partition");
    check_overloaded(&status);
    assert_eq!(fixture.log(partition).await.len(), 11);
    fixture.apply(partition).await;
    fixture.client().track(track(vec![view("u1", "late")])).await.expect("no lag any more");
    assert_eq!(fixture.log(partition).await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_fails_as_ambiguous_if_a_part_of_it_may_be_logged() {
    let fixture = IngestFixture::new(&Config { lag_records_max: 10, ..Config::default() });
    let users: Vec<String> = (0..100).map(|number| format!("u{number}")).collect();
    let user_of = |partition: usize| {
        users
            .iter()
            .find(|user| fixture.partition(user).index() == partition)
            .expect("a user of the partition")
    };
    // In either order: one partition refuses clearly, and the result of the other is unknown.
    for (lagging, away) in [(0, 1), (3, 2)] {
        fixture.client().track(track(views(user_of(lagging), 0, 11))).await.expect("no lag yet");
        fixture.faulty.refuse_appends(fixture.partition(user_of(away)), true);
        let events = vec![view(user_of(lagging), "late"), view(user_of(away), "unknown")];
        let status = fixture.client().track(track(events)).await.expect_err("no event accepted");
        let reported = (status.code(), reason_of(&status));
        assert_eq!(reported, (Code::Unavailable, Some(ErrorReason::StoreUnavailable)), "{status:?}");
    }
}

/// Returns an event of about 4 KiB.
fn large(user: &str, number: usize) -> Event {
    let property = |index: usize| (format!("property-{index}"), "x".repeat(250));
    Event { properties: (0..16).map(property).collect(), ..view(user, &format!("e{number}")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_of_a_slow_store_is_bounded_and_loses_nothing() {
    let fixture = IngestFixture::new(&Config { queue: ByteSize::mebibytes(1), ..Config::default() });
    fixture.faulty.hold_appends(true);
    let mut client = fixture.client();
    let first_call = tokio::spawn(async move {
        let events = (0..200).map(|number| large("u1", number)).collect();
        client.track(track(events)).await.expect("accepted in the end").into_inner()
    });
    // The large call reserves its memory first.
    let is_appending = async {
        while fixture.faulty.held_append_count() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TEST_TIMEOUT, is_appending).await.expect("an append");
    // Each call is queued or refused at once; none waits for memory.
    let mut queued = Vec::new();
    let refused = loop {
        let mut client = fixture.client();
        let number = 1000 + queued.len();
        let mut call = tokio::spawn(async move {
            let events = (0..20).map(|part| large("u2", number * 100 + part)).collect();
            client.track(track(events)).await
        });
        tokio::select! {
            end = &mut call => break end.expect("no panic").expect_err("a full queue"),
            () = tokio::time::sleep(std::time::Duration::from_millis(20)) => queued.push(call),
        }
        assert!(queued.len() < 30, "more calls than the queue can hold");
    };
    check_overloaded(&refused);
    fixture.faulty.hold_appends(false);
    assert_eq!(first_call.await.expect("no panic").accepted, 200);
    let calls = queued.len();
    for call in queued {
        let response = tokio::time::timeout(TEST_TIMEOUT, call).await.expect("a response in time");
        assert_eq!(response.expect("no panic").expect("accepted").into_inner().accepted, 20);
    }
    assert_eq!(fixture.logs().await.len(), 200 + calls * 20);
}

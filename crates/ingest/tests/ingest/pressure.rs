//! More than can be taken: every limit is said with when to come again, and nothing that was taken is lost.

use super::fixture::{PATIENCE, IngestFixture, track, view, views};
use portrait_ingest::Config;
use portrait_proto::status::reason_of;
use portrait_proto::v1::{ErrorReason, Event, TrackRequest};
use portrait_runtime::config::ByteSize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

fn check_overloaded(status: &Status) {
    let told = (status.code(), reason_of(status));
    assert_eq!(told, (Code::ResourceExhausted, Some(ErrorReason::Overloaded)), "{status:?}");
    assert!(status.get_error_details().retry_info().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_shopper_cannot_send_more_than_the_limit_unless_it_is_old() {
    let room = IngestFixture::of(&Config { user_events_per_second: 2, user_burst: 3, ..Config::default() });
    let mut events = views("robot", 0, 5);
    events.push(view("human", "h1"));
    let answer = room.client().track(track(events)).await.expect("answered").into_inner();
    let told: Vec<_> = answer.rejected.iter().map(|one| (one.index, one.reason())).collect();
    let limited = ErrorReason::RateLimited;
    assert_eq!((answer.accepted, told), (4, vec![(3, limited), (4, limited)]));
    assert!(answer.rejected[0].message.contains("backfill"), "{}", answer.rejected[0].message);
    let old = TrackRequest { events: views("robot", 10, 50), backfill: true };
    assert_eq!(room.client().track(old).await.expect("answered").into_inner().accepted, 50);
    room.clock.advance(1000);
    let answer = room.client().track(track(views("robot", 100, 5))).await.expect("answered");
    assert_eq!(answer.into_inner().accepted, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_lags_refuses_until_it_has_caught_up() {
    let room = IngestFixture::of(&Config { lag_records_max: 10, ..Config::default() });
    let partition = room.partition("u1");
    room.client().track(track(views("u1", 0, 11))).await.expect("nothing lags yet");
    let status = room.client().track(track(vec![view("u1", "late")])).await.expect_err("it lags");
    check_overloaded(&status);
    assert_eq!(room.log(partition).await.len(), 11);
    room.apply(partition).await;
    room.client().track(track(vec![view("u1", "late")])).await.expect("it has caught up");
    assert_eq!(room.log(partition).await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_only_said_to_be_refused_if_nothing_of_it_may_be_in_the_log() {
    let room = IngestFixture::of(&Config { lag_records_max: 10, ..Config::default() });
    let users: Vec<String> = (0..100).map(|number| format!("u{number}")).collect();
    let of = |partition: usize| {
        let home = |user: &&String| room.partition(user).index() == partition;
        users.iter().find(home).expect("somebody lives there")
    };
    // Whatever is asked first: one lane refuses for certain, of the other nobody knows.
    for (lagging, away) in [(0, 1), (3, 2)] {
        room.client().track(track(views(of(lagging), 0, 11))).await.expect("nothing lags yet");
        room.faulty.refuse_appends(room.partition(of(away)), true);
        let events = vec![view(of(lagging), "late"), view(of(away), "unknown")];
        let status = room.client().track(track(events)).await.expect_err("nothing was taken");
        let told = (status.code(), reason_of(&status));
        assert_eq!(told, (Code::Unavailable, Some(ErrorReason::StoreUnavailable)), "{status:?}");
    }
}

/// An event of some 4 KiB.
fn large(user: &str, number: usize) -> Event {
    let property = |index: usize| (format!("property-{index}"), "x".repeat(250));
    Event { properties: (0..16).map(property).collect(), ..view(user, &format!("e{number}")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_slow_store_is_bounded_and_not_lost() {
    let room = IngestFixture::of(&Config { queue: ByteSize::mebibytes(1), ..Config::default() });
    room.faulty.hold_appends(true);
    let mut client = room.client();
    let waiting = tokio::spawn(async move {
        let events = (0..200).map(|number| large("u1", number)).collect();
        client.track(track(events)).await.expect("taken in the end").into_inner()
    });
    // The large call is the first to take its room.
    let held = async {
        while room.faulty.held_append_count() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, held).await.expect("the store is asked");
    // Each is taken or told at once that there is no room; nobody waits in vain.
    let mut taken = Vec::new();
    let refused = loop {
        let mut client = room.client();
        let number = 1000 + taken.len();
        let mut call = tokio::spawn(async move {
            let events = (0..20).map(|part| large("u2", number * 100 + part)).collect();
            client.track(track(events)).await
        });
        tokio::select! {
            ended = &mut call => break ended.expect("no panic").expect_err("the store is held"),
            () = tokio::time::sleep(std::time::Duration::from_millis(20)) => taken.push(call),
        }
        assert!(taken.len() < 30, "more waits than the queue can hold");
    };
    check_overloaded(&refused);
    room.faulty.hold_appends(false);
    assert_eq!(waiting.await.expect("no panic").accepted, 200);
    let calls = taken.len();
    for call in taken {
        let answer = tokio::time::timeout(PATIENCE, call).await.expect("answered in time");
        assert_eq!(answer.expect("no panic").expect("taken").into_inner().accepted, 20);
    }
    assert_eq!(room.logs().await.len(), 200 + calls * 20);
}

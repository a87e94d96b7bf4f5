//! Erasures: a record in every partition's log, of which one names the user, and progress by receipt.

use super::fixture::{IngestFixture, track, view};
use portrait_ingest::Config;
use portrait_profile::{Body, PartitionId, UserId};
use portrait_proto::status::reason_of;
use portrait_proto::v1::{EraseRequest, ErasureState, ErrorReason, GetErasureRequest};
use portrait_store::StoreInfo;
use tonic::{Code, Status};
use tonic_types::StatusExt;

fn lena(event_id: &str) -> EraseRequest {
    EraseRequest { user_id: "lena".to_owned(), event_id: event_id.to_owned() }
}

fn check(status: &Status, code: Code, reason: ErrorReason) {
    assert_eq!((status.code(), reason_of(status)), (code, Some(reason)), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_in_every_log_and_only_one_names_the_user() {
    let fixture = IngestFixture::new(&Config::default());
    let erased = fixture.client().erase(lena("bye")).await.expect("logged").into_inner();
    let user_id = UserId::parse("lena").expect("an id");
    let pseudonym = fixture.store.layout().pseudonym_key.of(&user_id);
    for partition in fixture.store.layout().partitions.all() {
        let [record] = <[_; 1]>::try_from(fixture.log(partition).await).expect("one record");
        let expected = match partition == fixture.partition("lena") {
            true => (user_id.clone(), Body::Erase(pseudonym)),
            false => (pseudonym.as_user_id(), Body::Forget(pseudonym)),
        };
        assert_eq!((record.user_id, record.body), expected);
        assert_eq!(record.record_id.expect("the sender's").as_str(), "bye");
    }
    let request = GetErasureRequest { receipt: erased.receipt };
    let state = fixture.client().get_erasure(request.clone()).await.expect("a receipt").into_inner();
    assert_eq!((state.state(), state.partitions, state.applied_partitions), (ErasureState::Accepted, 4, 0));
    for partition in fixture.store.layout().partitions.all() {
        fixture.apply(partition).await;
    }
    let state = fixture.client().get_erasure(request).await.expect("a receipt").into_inner();
    // No partition has been swept for edges yet.
    assert_eq!((state.state(), state.applied_partitions), (ErasureState::Accepted, 4));
    assert_eq!(state.swept_partitions, 0);
}

/// Partitions of the fixture beside that of the user and the coordinator: those that answer from tombstones alone.
fn answering_from_tombstones(fixture: &IngestFixture) -> Vec<PartitionId> {
    let partitions = fixture.store.layout().partitions;
    let exact = [fixture.partition("lena"), partitions.coordinator_of(&fixture.pseudonym("lena"))];
    partitions.all().filter(|partition| !exact.contains(partition)).collect()
}

/// Erases the user a millisecond after anything before and returns the receipt.
async fn erase(fixture: &IngestFixture) -> Vec<u8> {
    fixture.clock.advance(1);
    fixture.client().erase(lena("")).await.expect("logged").into_inner().receipt
}

async fn state(fixture: &IngestFixture, receipt: &[u8]) -> (ErasureState, u32) {
    let request = GetErasureRequest { receipt: receipt.to_vec() };
    let state = fixture.client().get_erasure(request).await.expect("a receipt").into_inner();
    (state.state(), state.applied_partitions)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_erasure_stays_complete_while_and_after_its_tombstones_expire() {
    let fixture = IngestFixture::new(&Config::default());
    let partitions = fixture.store.layout().partitions;
    let receipt = erase(&fixture).await;
    for partition in partitions.all() {
        fixture.apply(partition).await;
        assert_ne!(state(&fixture, &receipt).await.0, ErasureState::Complete);
        fixture.finish_erasures(partition).await;
    }
    assert_eq!(state(&fixture, &receipt).await, (ErasureState::Complete, 4));
    let coordinator = partitions.coordinator_of(&fixture.pseudonym("lena"));
    let others = partitions.all().filter(|partition| *partition != coordinator);
    for partition in std::iter::once(coordinator).chain(others) {
        fixture.expire(partition, "lena").await;
        assert_eq!(state(&fixture, &receipt).await, (ErasureState::Complete, 4), "after {partition}");
    }
    // Another erasure, that a log refuses: it is not lost before it was in all logs.
    let refusing = answering_from_tombstones(&fixture)[0];
    fixture.faulty.refuse_appends(refusing, true);
    fixture.clock.advance(1);
    fixture.client().erase(lena("again")).await.expect_err("one log refuses");
    fixture.apply(coordinator).await;
    assert_eq!(state(&fixture, &receipt).await.0, ErasureState::Accepted);
    fixture.faulty.refuse_appends(refusing, false);
    let again = fixture.client().erase(lena("again")).await.expect("logged").into_inner().receipt;
    for partition in partitions.all() {
        fixture.apply(partition).await;
        fixture.finish_erasures(partition).await;
    }
    for receipt in [receipt, again] {
        assert_eq!(state(&fixture, &receipt).await, (ErasureState::Complete, 4));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tombstone_of_an_earlier_erasure_proves_nothing_of_a_later_one_but_the_reverse() {
    let fixture = IngestFixture::new(&Config::default());
    let partitions = fixture.store.layout().partitions;
    let first = erase(&fixture).await;
    for partition in partitions.all() {
        fixture.apply(partition).await;
        fixture.finish_erasures(partition).await;
    }
    let second = erase(&fixture).await;
    assert_eq!(state(&fixture, &first).await, (ErasureState::Complete, 4));
    assert_eq!(state(&fixture, &second).await, (ErasureState::Accepted, 0));
    for partition in partitions.all() {
        fixture.apply(partition).await;
    }
    // Edges to the user are not yet removed again.
    assert_eq!(state(&fixture, &first).await, (ErasureState::Accepted, 4));
    assert_eq!(state(&fixture, &second).await, (ErasureState::Accepted, 4));
    for partition in partitions.all() {
        fixture.finish_erasures(partition).await;
    }
    for receipt in [first, second] {
        assert_eq!(state(&fixture, &receipt).await, (ErasureState::Complete, 4));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_one_partition_lost_is_reported_as_lost_once_its_log_is_applied() {
    let fixture = IngestFixture::new(&Config::default());
    let receipt = erase(&fixture).await;
    let losing = answering_from_tombstones(&fixture)[0];
    for partition in fixture.store.layout().partitions.all() {
        if partition == losing {
            fixture.lose_erasures(partition).await;
        } else {
            fixture.apply(partition).await;
        }
    }
    // More records come: whether the erasure is among them shows when they are applied.
    let user = (0..).map(|number| format!("u{number}")).find(|user| fixture.partition(user) == losing);
    fixture.client().track(track(vec![view(&user.expect("a user"), "e1")])).await.expect("logged");
    assert_eq!(state(&fixture, &receipt).await, (ErasureState::Accepted, 3));
    fixture.apply(losing).await;
    let request = GetErasureRequest { receipt };
    let status = fixture.client().get_erasure(request).await.expect_err("one partition lost it");
    check(&status, Code::OutOfRange, ErrorReason::TokenExpired);
    assert!(status.message().contains(&format!("partition {losing}: erase again")), "{}", status.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partially_logged_erasure_asks_for_a_retry() {
    let fixture = IngestFixture::new(&Config::default());
    let partition = fixture.partition("lena");
    fixture.faulty.refuse_appends(partition, true);
    let status = fixture.client().erase(lena("bye")).await.expect_err("one log refuses");
    check(&status, Code::Unavailable, ErrorReason::StoreUnavailable);
    assert!(status.get_error_details().retry_info().is_some());
    assert!(status.message().contains("with the same event_id"), "{}", status.message());
    fixture.faulty.refuse_appends(partition, false);
    fixture.client().erase(lena("bye")).await.expect("a receipt");
    assert_eq!(fixture.log(partition).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_every_log_refuses_has_their_reason() {
    let fixture = IngestFixture::new(&Config { lag_records_max: 10, ..Config::default() });
    let mut users = (0..).map(|number| format!("u{number}"));
    for partition in fixture.store.layout().partitions.all() {
        let user = users.find(|user| fixture.partition(user) == partition).expect("a user of the partition");
        let views = (0..11).map(|number| view(&user, &format!("e{number}"))).collect();
        fixture.client().track(track(views)).await.expect("no lag yet");
    }
    let status = fixture.client().erase(lena("bye")).await.expect_err("every partition lags");
    check(&status, Code::ResourceExhausted, ErrorReason::Overloaded);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_ids_and_foreign_receipts_are_refused() {
    let fixture = IngestFixture::new(&Config::default());
    let long = "x".repeat(300);
    let rows = [("", "a", "user_id"), (&*long, "a", "user_id"), ("lena", &*long, "event_id")];
    for (user, id, field) in rows {
        let request = EraseRequest { user_id: user.to_owned(), event_id: id.to_owned() };
        let status = fixture.client().erase(request).await.expect_err("an invalid id");
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(details.bad_request().expect("the field").field_violations[0].field, field);
    }
    assert!(fixture.logs().await.is_empty());
    let foreign =
        IngestFixture::new(&Config::default()).client().erase(lena("")).await.expect("logged").into_inner();
    for receipt in [Vec::new(), b"receipt".to_vec(), foreign.consistency_token, foreign.receipt] {
        let status =
            fixture.client().get_erasure(GetErasureRequest { receipt }).await.expect_err("a foreign receipt");
        check(&status, Code::InvalidArgument, ErrorReason::BadToken);
    }
}

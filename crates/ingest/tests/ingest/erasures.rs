//! Erasures: a record in every partition's log, of which one names the user, and progress by receipt.

use super::fixture::{IngestFixture, track, view};
use portrait_ingest::Config;
use portrait_profile::{Body, UserId};
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

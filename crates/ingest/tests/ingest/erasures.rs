//! What erases a shopper enters every partition's log, and one alone names the shopper; how far it is is read from there.

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
async fn an_erasure_is_in_every_log_and_named_in_the_shoppers_own_alone() {
    let room = IngestFixture::of(&Config::default());
    let erased = room.client().erase(lena("bye")).await.expect("logged").into_inner();
    let user_id = UserId::parse("lena").expect("an id");
    let pseudonym = room.store.layout().pseudonym_key.of(&user_id);
    for partition in room.store.layout().partitions.all() {
        let [record] = <[_; 1]>::try_from(room.log(partition).await).expect("one record");
        let expected = match partition == room.partition("lena") {
            true => (user_id.clone(), Body::Erase(pseudonym)),
            false => (pseudonym.as_user_id(), Body::Forget(pseudonym)),
        };
        assert_eq!((record.user_id, record.body), expected);
        assert_eq!(record.record_id.expect("the sender's").as_str(), "bye");
    }
    let asked = GetErasureRequest { receipt: erased.receipt };
    let state = room.client().get_erasure(asked.clone()).await.expect("a receipt").into_inner();
    assert_eq!((state.state(), state.partitions, state.applied_partitions), (ErasureState::Accepted, 4, 0));
    for partition in room.store.layout().partitions.all() {
        room.apply(partition).await;
    }
    let state = room.client().get_erasure(asked).await.expect("a receipt").into_inner();
    // Nobody has looked for edges yet.
    assert_eq!((state.state(), state.applied_partitions), (ErasureState::Accepted, 4));
    assert_eq!(state.swept_partitions, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_of_which_a_part_may_be_logged_is_to_be_sent_again() {
    let room = IngestFixture::of(&Config::default());
    let partition = room.partition("lena");
    room.faulty.refuse_appends(partition, true);
    let status = room.client().erase(lena("bye")).await.expect_err("it is not in all logs");
    check(&status, Code::Unavailable, ErrorReason::StoreUnavailable);
    assert!(status.get_error_details().retry_info().is_some());
    assert!(status.message().contains("with the same event_id"), "{}", status.message());
    room.faulty.refuse_appends(partition, false);
    room.client().erase(lena("bye")).await.expect("now it is");
    assert_eq!(room.log(partition).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_no_log_takes_is_refused_with_the_reason() {
    let room = IngestFixture::of(&Config { lag_records_max: 10, ..Config::default() });
    let mut users = (0..).map(|number| format!("u{number}"));
    for partition in room.store.layout().partitions.all() {
        let user = users.find(|user| room.partition(user) == partition).expect("somebody lives there");
        let views = (0..11).map(|number| view(&user, &format!("e{number}"))).collect();
        room.client().track(track(views)).await.expect("nothing lags yet");
    }
    let status = room.client().erase(lena("bye")).await.expect_err("everything lags");
    check(&status, Code::ResourceExhausted, ErrorReason::Overloaded);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_erased_and_what_is_no_receipt_is_said() {
    let room = IngestFixture::of(&Config::default());
    let long = "x".repeat(300);
    let rows = [("", "a", "user_id"), (&*long, "a", "user_id"), ("lena", &*long, "event_id")];
    for (user, id, field) in rows {
        let request = EraseRequest { user_id: user.to_owned(), event_id: id.to_owned() };
        let status = room.client().erase(request).await.expect_err("it is wrong");
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(details.bad_request().expect("the field").field_violations[0].field, field);
    }
    assert!(room.logs().await.is_empty());
    let foreign = IngestFixture::of(&Config::default()).client().erase(lena("")).await.expect("logged").into_inner();
    for receipt in [Vec::new(), b"receipt".to_vec(), foreign.consistency_token, foreign.receipt] {
        let status = room.client().get_erasure(GetErasureRequest { receipt }).await.expect_err("not ours");
        check(&status, Code::InvalidArgument, ErrorReason::BadToken);
    }
}

//! What is answered as accepted is in the log, complete; what is not is not.

use super::fixture::{IngestFixture, new_year, track, view};
use portrait_ingest::{Config, TraitPolicy};
use portrait_profile::{Body, RelationKind, TraitValue};
use portrait_proto::status::reason_of;
use portrait_proto::token::ConsistencyToken;
use portrait_proto::v1::{
    ErrorReason, Event, IdentifyRequest, Item, RelateRequest, Relation, TraitsUpdate, UpsertItemsRequest,
};
use std::collections::BTreeSet;
use tonic::Code;
use tonic_types::StatusExt;

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_refuses_costs_its_own_events_only() {
    let room = IngestFixture::of(&Config::default());
    let events: Vec<Event> = (0..40).map(|number| view(&format!("u{number}"), "e1")).collect();
    let refusing = room.partition("u0");
    let its_own = |index: &usize| room.partition(&events[*index].user_id) == refusing;
    let expected: Vec<usize> = (0..40).filter(its_own).collect();
    assert!(expected.len() < 40);
    room.faulty.refuse_appends(refusing, true);
    let answer = room.client().track(track(events.clone())).await.expect("answered").into_inner();
    let rejected: Vec<usize> = answer.rejected.iter().map(|rejection| rejection.index as usize).collect();
    assert_eq!((rejected, answer.accepted as usize), (expected.clone(), 40 - expected.len()));
    for rejection in &answer.rejected {
        assert_eq!(rejection.reason(), ErrorReason::StoreUnavailable);
        assert_eq!(rejection.field, format!("events[{}]", rejection.index));
    }
    let covered = ConsistencyToken::decode(&answer.consistency_token).expect("a token").entries;
    assert!(covered.iter().all(|entry| entry.partition != refusing.get()) && !covered.is_empty());
    assert_eq!(room.log(refusing).await, []);
    // Sent again as they are, they are taken.
    room.faulty.refuse_appends(refusing, false);
    let again = expected.iter().map(|index| events[*index].clone()).collect();
    assert_eq!(room.client().track(track(again)).await.expect("answered").into_inner().rejected, []);
    let users: BTreeSet<String> = room.logs().await.iter().map(|record| record.user_id.to_string()).collect();
    assert_eq!(users, events.into_iter().map(|event| event.user_id).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_which_nothing_was_taken_fails_and_says_when_to_come_again() {
    let room = IngestFixture::of(&Config::default());
    room.faulty.set_unavailable(true);
    let status = room.client().track(track(vec![view("u1", "e1")])).await.expect_err("the store is away");
    assert_eq!((status.code(), reason_of(&status)), (Code::Unavailable, Some(ErrorReason::StoreUnavailable)));
    assert!(status.get_error_details().retry_info().is_some());
    let items = vec![Item { item_id: "boots".to_owned(), ..Default::default() }];
    let status =
        room.client().upsert_items(UpsertItemsRequest { items }).await.expect_err("the store is away");
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_logged_with_all_that_its_profile_needs() {
    let config = Config {
        time_zone: "Europe/Berlin".to_owned(),
        rates: [("USD".to_owned(), 0.5)].into(),
        ..Config::default()
    };
    let room = IngestFixture::of(&config);
    let item = |item_id: &str, price: f64, currency: &str| Item {
        item_id: item_id.to_owned(),
        category: "shoes".to_owned(),
        brand: "Lhasa".to_owned(),
        price: Some(price),
        currency: currency.to_owned(),
        ..Default::default()
    };
    let items = vec![item("boots", 80.0, "USD"), item("bad", f64::NAN, ""), item("rubles", 1.0, "RUB")];
    let answer = room.client().upsert_items(UpsertItemsRequest { items }).await.expect("answered");
    let answer = answer.into_inner();
    let told: Vec<_> = answer.rejected.iter().map(|one| (one.reason(), one.field.as_str())).collect();
    let expected =
        [(ErrorReason::NotFinite, "items[1].price"), (ErrorReason::UnknownCurrency, "items[2].currency")];
    assert_eq!((answer.accepted, told), (1, expected.to_vec()));
    let of_boots = Event { item_id: "boots".to_owned(), ..view("u1", "e1") };
    let with_its_own = Event {
        category: "sale".to_owned(),
        price: Some(30.0),
        currency: "USD".to_owned(),
        ..Event { event_id: "e2".to_owned(), ..of_boots.clone() }
    };
    let of_nothing_known = Event { item_id: "socks".to_owned(), ..view("u1", "e3") };
    room.client().track(track(vec![of_boots, with_its_own, of_nothing_known])).await.expect("taken");
    let records = room.log(room.partition("u1")).await;
    let stamped: Vec<_> = records
        .iter()
        .map(|record| match &record.body {
            Body::Event(event) => {
                (event.utc_offset_minutes, event.category.as_deref(), event.brand.as_deref(), event.price)
            }
            other => panic!("{other:?} is no event"),
        })
        .collect();
    let expected = [
        (60, Some("shoes"), Some("Lhasa"), Some(40.0)),
        (60, Some("sale"), Some("Lhasa"), Some(15.0)),
        (60, None, None, None),
    ];
    assert_eq!(stamped, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn traits_pass_the_shops_policy_before_they_are_written() {
    let config = Config { traits: [("age".to_owned(), TraitPolicy::Band(10))].into(), ..Config::default() };
    let config = Config { other_traits: TraitPolicy::Drop, ..config };
    let room = IngestFixture::of(&config);
    let update = |age: &str| TraitsUpdate {
        event_id: "t1".to_owned(),
        user_id: "u1".to_owned(),
        occurred_at: new_year(),
        traits: [("age", age), ("email", "lena@example.com")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    };
    let updates = vec![update("34"), update("old")];
    let answer = room.client().identify(IdentifyRequest { updates }).await.expect("answered").into_inner();
    let rejected = &answer.rejected[0];
    assert_eq!((answer.accepted, rejected.reason(), rejected.index), (1, ErrorReason::OutOfRange, 1));
    assert_eq!(rejected.field, "updates[1].traits[\"age\"]");
    let kept = vec![TraitValue { name: "age".into(), value: "30-39".into() }];
    let bodies: Vec<Body> = room.logs().await.into_iter().map(|record| record.body).collect();
    assert_eq!(bodies, [Body::Traits(kept)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_are_logged_or_refused_one_by_one() {
    let room = IngestFixture::of(&Config::default());
    let edge = |other: &str, kind: i32, weight: f64| Relation {
        event_id: format!("r-{other}-{weight}"),
        user_id: "u1".to_owned(),
        other_user_id: other.to_owned(),
        kind,
        weight,
        occurred_at: new_year(),
    };
    let relations = vec![
        edge("u2", 4, 0.5),
        edge("u1", 1, 0.5),
        edge("u3", 0, 0.5),
        edge("u3", 1, 1.5),
        edge("", 1, 0.1),
    ];
    let answer = room.client().relate(RelateRequest { relations }).await.expect("answered").into_inner();
    let told: Vec<_> = answer.rejected.iter().map(|one| (one.reason(), one.field.as_str())).collect();
    let expected = [
        (ErrorReason::ConflictingFields, "relations[1].other_user_id"),
        (ErrorReason::UnknownRelation, "relations[2].kind"),
        (ErrorReason::OutOfRange, "relations[3].weight"),
        (ErrorReason::EmptyId, "relations[4].other_user_id"),
    ];
    assert_eq!((answer.accepted, told), (1, expected.to_vec()));
    let logged = room.logs().await;
    let Body::Relation(relation) = &logged[0].body else { panic!("{logged:?} is no edge") };
    assert_eq!((relation.other_user_id.as_str(), relation.kind), ("u2", RelationKind::Follows));
}

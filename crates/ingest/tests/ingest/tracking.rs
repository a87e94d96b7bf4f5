//! Accepted items are in the log with all fields; rejected ones are not.

use super::fixture::{IngestFixture, new_year, track, view};
use portrait_ingest::{Config, TraitPolicy};
use portrait_profile::{Body, RelationKind, SourceId, TraitValue};
use portrait_proto::status::reason_of;
use portrait_proto::token::ConsistencyToken;
use portrait_proto::v1::{
    ErrorReason, Event, IdentifyRequest, Item, RelateRequest, Relation, TraitsUpdate, UpsertItemsRequest,
};
use portrait_store::StoreInfo;
use std::collections::BTreeSet;
use tonic::Code;
use tonic_types::StatusExt;

#[tokio::test(flavor = "multi_thread")]
async fn a_refusing_partition_rejects_only_its_own_events() {
    let fixture = IngestFixture::new(&Config::default());
    let events: Vec<Event> = (0..40).map(|index| view(&format!("u{index}"), "e1")).collect();
    let refusing = fixture.partition("u0");
    let expected: Vec<usize> =
        (0..40).filter(|index: &usize| fixture.partition(&events[*index].user_id) == refusing).collect();
    assert!(expected.len() < 40);
    fixture.faulty.refuse_appends(refusing, true);
    let response = fixture.client().track(track(events.clone())).await.expect("a response").into_inner();
    let rejected: Vec<usize> = response.rejected.iter().map(|rejection| rejection.index as usize).collect();
    assert_eq!((rejected, response.accepted as usize), (expected.clone(), 40 - expected.len()));
    for rejection in &response.rejected {
        assert_eq!(rejection.reason(), ErrorReason::StoreUnavailable);
        assert_eq!(rejection.field, format!("events[{}]", rejection.index));
    }
    let key = fixture.faulty.layout().pseudonym_key;
    let covered = ConsistencyToken::decode(&response.consistency_token, key).expect("a token").entries;
    assert!(covered.iter().all(|entry| entry.partition != refusing.get()) && !covered.is_empty());
    assert_eq!(fixture.log(refusing).await, []);
    // The same events are accepted when they are sent again.
    fixture.faulty.refuse_appends(refusing, false);
    let retry = expected.iter().map(|index| events[*index].clone()).collect();
    assert_eq!(fixture.client().track(track(retry)).await.expect("a response").into_inner().rejected, []);
    let users: BTreeSet<String> =
        fixture.logs().await.iter().map(|record| record.user_id.to_string()).collect();
    assert_eq!(users, events.into_iter().map(|event| event.user_id).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_an_accepted_event_fails_with_a_retry_delay() {
    let fixture = IngestFixture::new(&Config::default());
    fixture.faulty.set_unavailable(true);
    let status =
        fixture.client().track(track(vec![view("u1", "e1")])).await.expect_err("an unavailable store");
    assert_eq!((status.code(), reason_of(&status)), (Code::Unavailable, Some(ErrorReason::StoreUnavailable)));
    assert!(status.get_error_details().retry_info().is_some());
    let items = vec![Item { item_id: "boots".to_owned(), ..Default::default() }];
    let status =
        fixture.client().upsert_items(UpsertItemsRequest { items }).await.expect_err("an unavailable store");
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_have_their_source_and_are_refused_when_the_ledger_is_full() {
    let of_orders = |user: &str| Event { source: "orders".to_owned(), ..view(user, "e1") };
    let fixture = IngestFixture::new(&Config::default());
    fixture.client().track(track(vec![of_orders("u1"), view("u2", "e1")])).await.expect("accepted");
    for record in fixture.logs().await {
        let expected = (record.user_id.as_str() == "u1").then(|| SourceId::parse("orders").expect("a name"));
        assert_eq!(record.source, expected, "{}", record.user_id);
    }
    let full = IngestFixture::with_ledger_of(&Config::default(), 0);
    let refused = full.client().track(track(vec![of_orders("u1")])).await.expect_err("no room for its id");
    assert_eq!(reason_of(&refused), Some(ErrorReason::StoreFull));
    assert!(refused.message().contains("connect.ledger_bytes"), "{refused}");
    full.client().track(track(vec![view("u1", "e1")])).await.expect("a plain event keeps no id for ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_logged_with_all_that_a_profile_needs() {
    let config = Config {
        time_zone: "Europe/Berlin".to_owned(),
        rates: [("USD".to_owned(), 0.5)].into(),
        ..Config::default()
    };
    let fixture = IngestFixture::new(&config);
    let item = |item_id: &str, price: f64, currency: &str| Item {
        item_id: item_id.to_owned(),
        category: "shoes".to_owned(),
        brand: "Lhasa".to_owned(),
        price: Some(price),
        currency: currency.to_owned(),
        ..Default::default()
    };
    let items = vec![item("boots", 80.0, "USD"), item("bad", f64::NAN, ""), item("rubles", 1.0, "RUB")];
    let response = fixture.client().upsert_items(UpsertItemsRequest { items }).await.expect("a response");
    let response = response.into_inner();
    let reported: Vec<_> =
        response.rejected.iter().map(|rejection| (rejection.reason(), rejection.field.as_str())).collect();
    let expected =
        [(ErrorReason::NotFinite, "items[1].price"), (ErrorReason::UnknownCurrency, "items[2].currency")];
    assert_eq!((response.accepted, reported), (1, expected.to_vec()));
    let boots = Event { item_id: "boots".to_owned(), ..view("u1", "e1") };
    let with_own_fields = Event {
        category: "sale".to_owned(),
        price: Some(30.0),
        currency: "USD".to_owned(),
        ..Event { event_id: "e2".to_owned(), ..boots.clone() }
    };
    let unknown_item = Event { item_id: "socks".to_owned(), ..view("u1", "e3") };
    fixture.client().track(track(vec![boots, with_own_fields, unknown_item])).await.expect("accepted");
    let records = fixture.log(fixture.partition("u1")).await;
    let stamped: Vec<_> = records
        .iter()
        .map(|record| match &record.body {
            Body::Event(event) => {
                (event.utc_offset_minutes, event.category.as_deref(), event.brand.as_deref(), event.price)
            }
            body => panic!("{body:?} is no event"),
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
async fn traits_are_logged_after_the_shops_policy() {
    let config = Config { traits: [("age".to_owned(), TraitPolicy::Band(10))].into(), ..Config::default() };
    let config = Config { other_traits: TraitPolicy::Drop, ..config };
    let fixture = IngestFixture::new(&config);
    let update = |age: &str| TraitsUpdate {
        source: String::new(),
        event_id: "t1".to_owned(),
        user_id: "u1".to_owned(),
        occurred_at: new_year(),
        traits: [("age", age), ("email", "lena@example.com")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    };
    let updates = vec![update("34"), update("old")];
    let response =
        fixture.client().identify(IdentifyRequest { updates }).await.expect("a response").into_inner();
    let rejected = &response.rejected[0];
    assert_eq!((response.accepted, rejected.reason(), rejected.index), (1, ErrorReason::OutOfRange, 1));
    assert_eq!(rejected.field, "updates[1].traits[\"age\"]");
    let kept = vec![TraitValue { name: "age".into(), value: "30-39".into() }];
    let bodies: Vec<Body> = fixture.logs().await.into_iter().map(|record| record.body).collect();
    assert_eq!(bodies, [Body::Traits(kept)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn relations_are_accepted_or_rejected_one_by_one() {
    let fixture = IngestFixture::new(&Config::default());
    let edge = |other: &str, kind: i32, weight: f64| Relation {
        source: String::new(),
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
    let response =
        fixture.client().relate(RelateRequest { relations }).await.expect("a response").into_inner();
    let reported: Vec<_> =
        response.rejected.iter().map(|rejection| (rejection.reason(), rejection.field.as_str())).collect();
    let expected = [
        (ErrorReason::ConflictingFields, "relations[1].other_user_id"),
        (ErrorReason::UnknownRelation, "relations[2].kind"),
        (ErrorReason::OutOfRange, "relations[3].weight"),
        (ErrorReason::EmptyId, "relations[4].other_user_id"),
    ];
    assert_eq!((response.accepted, reported), (1, expected.to_vec()));
    let logged = fixture.logs().await;
    let Body::Relation(relation) = &logged[0].body else { panic!("{logged:?} is no edge") };
    assert_eq!((relation.other_user_id.as_str(), relation.kind), ("u2", RelationKind::Follows));
}

//! Each violation has its reason and its field.

use super::*;
use crate::config::Config;
use portrait_profile::{Body, Event, Record};
use portrait_proto::v1::{self, Action};
use std::collections::HashMap;

/// Change to a valid event.
type Change = fn(&mut v1::Event);

/// 2024-01-01T00:00:00Z.
const NOW_S: i64 = 1_704_067_200;

fn validator() -> Validator {
    let config = Config { custom_actions: vec!["quiz".to_owned()], ..Config::default() };
    let config = config.validate(portrait_store::AckLevel::Disk).expect("a valid configuration");
    let traits = TraitPolicies::without_keys(config.trait_rules.clone());
    Validator::new(&config, traits)
}

/// Returns the record of an event and its losses: dropped values by kind, truncated fields.
fn accepted(change: impl FnOnce(&mut v1::Event)) -> (Event, [Vec<(&'static str, u64)>; 2]) {
    let mut event = valid_event();
    change(&mut event);
    let mut losses = Losses::default();
    let Record { body, .. } = validator().event(event, now(), &mut losses).expect("a valid event");
    let Body::Event(event) = body else { panic!("{body:?} is no event") };
    (event, losses.counts())
}

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn now() -> Timestamp {
    Timestamp::from_millis(NOW_S * 1000)
}

fn wire_time(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

fn valid_event() -> v1::Event {
    v1::Event {
        event_id: "e1".to_owned(),
        user_id: "u1".to_owned(),
        action: Action::View.into(),
        occurred_at: wire_time(NOW_S),
        ..Default::default()
    }
}

fn check(change: impl FnOnce(&mut v1::Event), expected: Option<(ErrorReason, &str)>) {
    let mut event = valid_event();
    change(&mut event);
    let shown = format!("{event:?}");
    let error = validator()
        .event(event, now(), &mut Losses::default())
        .err()
        .map(|error| (error.reason, error.field));
    assert_eq!(error, expected.map(|(reason, field)| (reason, field.to_owned())), "{shown}");
}

#[test]
fn ids_are_bounded_and_printable() {
    let long = "x".repeat(129);
    check(|event| event.event_id.clear(), None);
    check(|event| event.user_id = "用户".to_owned(), None);
    check(|event| event.user_id.clear(), Some((ErrorReason::EmptyId, "user_id")));
    check(|event| event.user_id.clone_from(&long), Some((ErrorReason::TooLong, "user_id")));
    check(|event| event.event_id.clone_from(&long), Some((ErrorReason::TooLong, "event_id")));
    check(|event| event.item_id.clone_from(&long), Some((ErrorReason::TooLong, "item_id")));
    check(|event| event.order_id.clone_from(&long), Some((ErrorReason::TooLong, "order_id")));
    check(|event| event.user_id = " u".to_owned(), Some((ErrorReason::BadText, "user_id")));
    check(|event| event.user_id = "u\u{200B}".to_owned(), Some((ErrorReason::BadText, "user_id")));
    check(|event| event.item_id = "i\u{202E}".to_owned(), Some((ErrorReason::BadText, "item_id")));
}

#[test]
fn numbers_are_finite_and_within_their_range() {
    let price = |price| move |event: &mut v1::Event| event.price = Some(price);
    let quantity = |quantity| move |event: &mut v1::Event| event.quantity = Some(quantity);
    check(price(0.0), None);
    check(price(1e9), None);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        check(price(bad), Some((ErrorReason::NotFinite, "price")));
        check(quantity(bad), Some((ErrorReason::NotFinite, "quantity")));
    }
    check(price(-0.01), Some((ErrorReason::OutOfRange, "price")));
    check(price(1.1e9), Some((ErrorReason::OutOfRange, "price")));
    check(quantity(0.0), Some((ErrorReason::OutOfRange, "quantity")));
    check(quantity(1e7), Some((ErrorReason::OutOfRange, "quantity")));
    let dollars = |event: &mut v1::Event| (event.price, event.currency) = (Some(1.0), "USD".to_owned());
    check(dollars, Some((ErrorReason::UnknownCurrency, "currency")));
}

#[test]
fn times_are_present_and_within_their_range() {
    let at = |seconds| move |event: &mut v1::Event| event.occurred_at = wire_time(seconds);
    check(|event| event.occurred_at = None, Some((ErrorReason::MissingField, "occurred_at")));
    check(at(NOW_S + 300), None);
    check(at(NOW_S + 301), Some((ErrorReason::TimeInFuture, "occurred_at")));
    check(at(4_102_444_800), Some((ErrorReason::TimeInFuture, "occurred_at")));
    check(at(0), Some((ErrorReason::TimeTooOld, "occurred_at")));
    check(at(i64::MAX), Some((ErrorReason::BadTime, "occurred_at")));
    check(
        |event| event.occurred_at = Some(prost_types::Timestamp { seconds: NOW_S, nanos: -1 }),
        Some((ErrorReason::BadTime, "occurred_at")),
    );
}

#[test]
fn actions_are_known_and_custom_ones_configured() {
    let custom = |action: Action, name: &'static str| {
        move |event: &mut v1::Event| {
            event.action = action.into();
            name.clone_into(&mut event.custom_action);
        }
    };
    check(|event| event.action = 0, Some((ErrorReason::UnknownAction, "action")));
    check(|event| event.action = 99, Some((ErrorReason::UnknownAction, "action")));
    check(custom(Action::Custom, "quiz"), None);
    check(custom(Action::Custom, "poll"), Some((ErrorReason::UnknownAction, "custom_action")));
    check(custom(Action::Custom, ""), Some((ErrorReason::UnknownAction, "custom_action")));
    check(custom(Action::View, "quiz"), Some((ErrorReason::ConflictingFields, "custom_action")));
}

#[test]
fn a_currency_is_known_in_any_case() {
    let euro = |event: &mut v1::Event| (event.price, event.currency) = (Some(1.0), "eur".to_owned());
    assert_eq!(accepted(euro).0.price, Some(1.0));
}

#[test]
fn a_field_that_does_not_fit_loses_itself_and_not_the_purchase() {
    let purchase = |change: Change| {
        accepted(move |event| {
            event.action = Action::Purchase.into();
            (event.item_id, event.order_id) = ("boots".to_owned(), "A-17".to_owned());
            (event.price, event.quantity) = (Some(59.0), Some(2.0));
            change(event);
        })
    };
    let rows: [(Change, &str, u64); 10] = [
        (|event| event.query = "q".repeat(257), "query", 1),
        (|event| event.query = "red\nboots".to_owned(), "query", 1),
        (|event| event.session_id = "s".repeat(129), "session_id", 1),
        (|event| event.anonymous_id = "a\0".to_owned(), "anonymous_id", 1),
        (|event| event.category = "c".repeat(129), "category", 1),
        (|event| event.brand = "a\nb".to_owned(), "brand", 1),
        (|event| event.properties = map(&[("", "x"), ("a\n", "x"), ("b", "x\0")]), "properties", 3),
        (|event| event.properties = map(&[(&"n".repeat(65), "x")]), "properties", 1),
        (|event| event.properties = map(&[("a", &"é".repeat(129))]), "properties", 1),
        (
            |event| event.properties = (10..30).map(|index| (format!("p{index}"), "v".to_owned())).collect(),
            "properties",
            4,
        ),
    ];
    for (change, field, count) in rows {
        let (event, [dropped, truncated]) = purchase(change);
        assert_eq!((dropped, truncated), (vec![], vec![(field, count)]), "{event:?}");
        assert_eq!((event.price, event.quantity), (Some(59.0), 2.0));
        assert_eq!(event.order_id.map(|id| id.to_string()).as_deref(), Some("A-17"));
    }
    assert_eq!(purchase(|_| {}).1, [vec![], vec![]]);
}

#[test]
fn what_is_left_of_a_field_is_its_valid_part() {
    let context = |change: Change| *accepted(change).0.context.expect("a context");
    assert_eq!(*context(|event| event.query = "red\nboots".to_owned()).query, *"red boots");
    assert_eq!(*context(|event| event.query = "é".repeat(200)).query, *"é".repeat(128));
    assert_eq!(accepted(|event| event.session_id = "s".repeat(129)).0.context, None);
    assert_eq!(accepted(|event| event.category = "c".repeat(129)).0.category, None);
    let properties = context(|event| {
        event.properties = (10..30).map(|index| (format!("p{index}"), "é".repeat(129))).collect();
    });
    let names: Vec<&str> = properties.properties.iter().map(|(name, _)| &**name).collect();
    assert_eq!((names[0], names[15], names.len()), ("p10", "p25", 16));
    assert!(properties.properties.iter().all(|(_, value)| **value == *"é".repeat(128)));
}

#[test]
fn personal_data_are_dropped_from_properties_and_queries() {
    let (event, [dropped, truncated]) = accepted(|event| {
        event.properties = map(&[
            ("colour", "red"),
            ("email", "secret"),
            ("note", "lena@example.com"),
            ("delivery_phone", "secret"),
            ("age", "34"),
            // The end of an address beyond the limit does not hide it.
            ("comment", &format!("{} lena@example.com", "x".repeat(250))),
        ]);
        event.query = "orders of lena@example.com".to_owned();
    });
    let context = event.context.expect("a context");
    let kept: Vec<_> = context.properties.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(kept, [("age", "30-39"), ("colour", "red")]);
    assert_eq!(*context.query, *"");
    assert_eq!((dropped, truncated), (vec![("email", 4), ("phone", 1)], vec![]));
    let part_number = accepted(|event| event.query = "415-555-2671".to_owned());
    assert_eq!(
        part_number.0.context.map(|context| context.query.to_string()).as_deref(),
        Some("415-555-2671")
    );
}

#[test]
fn texts_for_missing_values_are_missing() {
    for text in ["NA", "NaN", "nan", "null", "None", "undefined", "N/A", " null "] {
        let (event, losses) = accepted(|event| {
            (event.category, event.brand) = (text.to_owned(), text.to_owned());
            event.order_id = "null".to_owned();
        });
        assert_eq!((event.category, event.brand, event.order_id), (None, None, None), "{text}");
        assert_eq!(losses, [vec![], vec![]], "{text}");
        let item = v1::Item { item_id: "boots".to_owned(), brand: text.to_owned(), ..Default::default() };
        assert_eq!(*validator().item(item).expect("a valid item").item.brand, *"");
    }
    for brand in ["NAN", "Nonesuch", "nullo"] {
        assert_eq!(accepted(|event| event.brand = brand.to_owned()).0.brand.as_deref(), Some(brand));
    }
}

#[test]
fn traits_pass_their_policy() {
    let update = |traits: &[(&str, &str)]| v1::TraitsUpdate {
        user_id: "u1".to_owned(),
        occurred_at: wire_time(NOW_S),
        traits: map(traits),
        ..Default::default()
    };
    let mut losses = Losses::default();
    // An address of several lines is dropped, and not a reason to refuse the rest.
    let update_of_three = update(&[("email", "a@b.c"), ("age", "34"), ("address", "Street 1\nGraz")]);
    let record = validator().traits(update_of_three, now(), &mut losses).expect("valid traits");
    assert_eq!(losses.counts(), [vec![("email", 1), ("postal_address", 1)], vec![]]);
    let Body::Traits(kept) = record.body else { panic!("not traits") };
    let kept: Vec<_> = kept.iter().map(|kept| (&*kept.name, &*kept.value)).collect();
    assert_eq!(kept, [("age", "30-39")]);
    let rows = [
        (&[][..], ErrorReason::MissingField, "traits"),
        (&[("age", "old")][..], ErrorReason::OutOfRange, "traits[\"age\"]"),
        (&[("", "x")][..], ErrorReason::EmptyId, "traits[\"\"]"),
        (&[("note", "a\nb")][..], ErrorReason::BadText, "traits[\"note\"]"),
    ];
    for (traits, reason, field) in rows {
        let error =
            validator().traits(update(traits), now(), &mut Losses::default()).expect_err("invalid traits");
        assert_eq!((error.reason, error.field.as_str()), (reason, field));
    }
}

#[test]
fn a_relation_has_two_users_a_kind_and_a_weight() {
    let edge = |other: &str, kind: i32, weight: f64| v1::Relation {
        user_id: "u1".to_owned(),
        other_user_id: other.to_owned(),
        kind,
        weight,
        occurred_at: wire_time(NOW_S),
        ..Default::default()
    };
    assert!(validator().relation(&edge("u2", 1, 0.5), now()).is_ok());
    let rows = [
        (edge("u1", 1, 0.5), ErrorReason::ConflictingFields, "other_user_id"),
        (edge("", 1, 0.5), ErrorReason::EmptyId, "other_user_id"),
        (edge("u2", 0, 0.5), ErrorReason::UnknownRelation, "kind"),
        (edge("u2", 1, 1.5), ErrorReason::OutOfRange, "weight"),
        (edge("u2", 1, f64::NAN), ErrorReason::NotFinite, "weight"),
    ];
    for (edge, reason, field) in rows {
        let error = validator().relation(&edge, now()).expect_err("an invalid relation");
        assert_eq!((error.reason, error.field.as_str()), (reason, field));
    }
}

//! Each violation has its reason and its field.

use super::*;
use crate::config::Config;
use portrait_profile::Body;
use portrait_proto::v1::{self, Action};
use std::collections::HashMap;

/// 2024-01-01T00:00:00Z.
const NOW_S: i64 = 1_704_067_200;

fn validator() -> Validator {
    let config = Config { custom_actions: vec!["quiz".to_owned()], ..Config::default() };
    Validator::new(&config.validate(portrait_store::AckLevel::Disk).expect("a valid configuration"))
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
    let error = validator().event(event, now()).err().map(|error| (error.reason, error.field));
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
    check(|event| event.category.clone_from(&long), Some((ErrorReason::TooLong, "category")));
    check(|event| event.brand = "a\nb".to_owned(), Some((ErrorReason::BadText, "brand")));
    check(|event| event.user_id = " u".to_owned(), Some((ErrorReason::BadText, "user_id")));
    check(|event| event.query = "q".repeat(257), Some((ErrorReason::TooLong, "query")));
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
fn properties_are_bounded_in_number_and_length() {
    let properties = |count: usize, bytes: usize| {
        move |event: &mut v1::Event| {
            event.properties = (0..count).map(|index| (format!("p{index}"), "v".repeat(bytes))).collect();
        }
    };
    check(properties(16, 256), None);
    check(properties(17, 1), Some((ErrorReason::TooMany, "properties")));
    check(properties(1, 257), Some((ErrorReason::TooLong, "properties[\"p0\"]")));
}

#[test]
fn traits_pass_their_policy() {
    let update = |traits: &[(&str, &str)]| v1::TraitsUpdate {
        user_id: "u1".to_owned(),
        occurred_at: wire_time(NOW_S),
        traits: traits
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<HashMap<_, _>>(),
        ..Default::default()
    };
    let record =
        validator().traits(update(&[("email", "a@b.c"), ("age", "34")]), now()).expect("valid traits");
    let Body::Traits(kept) = record.body else { panic!("not traits") };
    let kept: Vec<_> = kept.iter().map(|kept| (&*kept.name, &*kept.value)).collect();
    assert_eq!(kept, [("age", "30-39")]);
    let rows = [
        (&[][..], ErrorReason::MissingField, "traits"),
        (&[("age", "old")][..], ErrorReason::OutOfRange, "traits[\"age\"]"),
        (&[("", "x")][..], ErrorReason::EmptyId, "traits[\"\"]"),
    ];
    for (traits, reason, field) in rows {
        let error = validator().traits(update(traits), now()).expect_err("invalid traits");
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

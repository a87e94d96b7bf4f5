//! Properties of profiles for any input: sums do not depend on the order of events, the encoding is lossless, every list is bounded,
//! and all numbers are finite. Nothing panics.

mod orders;

use portrait_profile::{
    Action, ActionKind, BRANDS_MAX, Body, CATEGORIES_MAX, CUSTOM_ACTIONS_MAX, CustomAction, EDGES_MAX, Event,
    FeatureSchema, HALF_LIVES, ItemId, MACHINE_MEMORY, MACHINE_VISIT_EVENTS, OrderId, Outcome,
    PRICE_BANDS_MAX, PROFILE_MAX_BYTES, Profile, RECENT_ITEMS_MAX, Record, RecordId, Relation, RelationKind,
    ScoreTarget, SourceId, TRAITS_MAX, TimeDelta, Timestamp, TraceContext, TraitValue, UserId, VISIT_MAX,
};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;

const ACTIONS: [Action; 10] = [
    Action::View,
    Action::Search,
    Action::Click,
    Action::AddToCart,
    Action::RemoveFromCart,
    Action::Favorite,
    Action::Purchase,
    Action::Refund,
    Action::Review,
    Action::Share,
];

fn user() -> UserId {
    UserId::parse("u1").expect("an id")
}

fn record(at_ms: i64, number: usize, event: Event) -> Record {
    let at = Timestamp::from_millis(at_ms);
    let record_id = RecordId::parse(&format!("e{number}")).ok();
    Record {
        user_id: user(),
        record_id,
        occurred_at: at,
        accepted_at: at,
        body: Body::Event(event),
        trace: None,
        source: None,
    }
}

fn event(action: Action) -> Event {
    Event {
        action,
        utc_offset_minutes: 0,
        item_id: None,
        category: None,
        brand: None,
        price: None,
        quantity: 1.0,
        order_id: None,
        order_line: 0,
        strength: None,
        context: None,
    }
}

fn folded<'a>(records: impl IntoIterator<Item = &'a Record>) -> Profile {
    let mut profile = Profile::new(user());
    records.into_iter().for_each(|record| {
        profile.apply(record);
    });
    profile
}

/// 2024-01-01T00:00:00Z.
const BEGIN_MS: i64 = 1_704_067_200_000;

fn random_events(rng: &mut StdRng, count: usize) -> Vec<Record> {
    let random_event = |number: usize| {
        let at = BEGIN_MS + rng.random_range(0..200 * 86_400_000_i64);
        let mut event = event(ACTIONS[rng.random_range(0..ACTIONS.len())].clone());
        event.category = Some(format!("category-{}", rng.random_range(0..10)).into());
        event.price = Some(rng.random_range(0.5..500.0));
        event.quantity = f64::from(rng.random_range(1..4));
        record(at, number, event)
    };
    (0..count).map(random_event).collect()
}

/// Returns the sums by name at three half-lives, computed from every record.
fn brute_force(records: &[Record], now: Timestamp) -> BTreeMap<String, [f64; 3]> {
    let mut sums: BTreeMap<String, [f64; 3]> = BTreeMap::new();
    for record in records {
        let Body::Event(event) = &record.body else { continue };
        let age_ms = now.since(record.occurred_at).millis() as f64;
        let factors = HALF_LIVES.map(|half_life| (-age_ms / half_life.millis() as f64).exp2());
        let mut add = |name: String, weight: f64| {
            let sum = sums.entry(name).or_default();
            sum.iter_mut().zip(factors).for_each(|(sum, factor)| *sum += weight * factor);
        };
        add(event.action.name().to_owned(), 1.0);
        let category = event.category.as_deref().expect("set for every event");
        add(category.to_owned(), event.action.kind().strength());
        // The refunds name neither an order nor an item, so that they take nothing back.
        if event.action == Action::Purchase {
            add("money".to_owned(), event.price.expect("set for every event") * event.quantity);
        }
    }
    sums
}

fn decayed_sums(profile: &Profile, now: Timestamp) -> BTreeMap<String, [f64; 3]> {
    let view = profile.view_at(now);
    let actions = view.behavior.actions.iter().map(|count| (count.action.name().to_owned(), count.decayed));
    let categories =
        view.preference.categories.iter().map(|affinity| (affinity.name.clone(), affinity.weight));
    let money = [("money".to_owned(), view.behavior.rfm.money)];
    let sums = actions.chain(categories).chain(money);
    sums.map(|(name, sum)| (name, [sum.hour, sum.week, sum.quarter])).collect()
}

#[test]
fn a_hundred_thousand_events_in_any_order_agree_with_brute_force() {
    let mut rng = StdRng::seed_from_u64(11);
    let mut records = random_events(&mut rng, 100_000);
    let now = Timestamp::from_millis(BEGIN_MS).plus(TimeDelta::from_days(201));
    let expected = brute_force(&records, now);
    for round in 0..3 {
        let profile = folded(&records);
        let actual = decayed_sums(&profile, now);
        assert!(actual.keys().eq(expected.keys()), "{:?}", actual.keys());
        for (name, sums) in &expected {
            for (actual, sum) in actual[name].iter().zip(sums) {
                // Refunds are subtracted, so the error is relative to the sum of all contributions, and sums are read from 0.
                let sum = &sum.max(0.0);
                let scale = expected["purchase"].iter().fold(sum.abs(), |scale, sum| scale.max(sum.abs()));
                assert!((actual - sum).abs() <= 1e-5 * scale, "round {round}, {name}: {actual} is not {sum}");
            }
        }
        assert_eq!(profile.applied_events(), 100_000);
        records.shuffle(&mut rng);
    }
    let profile = folded(&records);
    records.shuffle(&mut rng);
    assert_eq!(profile.fingerprint(), folded(&records).fingerprint());
}

#[test]
fn a_late_event_changes_sums_but_no_visit() {
    let hour = 3_600_000;
    let mut profile = folded([
        &record(BEGIN_MS, 0, event(Action::View)),
        &record(BEGIN_MS + 60_000, 1, event(Action::Purchase)),
        &record(BEGIN_MS + hour, 2, event(Action::View)),
    ]);
    let late = profile.apply(&record(BEGIN_MS + 120_000, 3, event(Action::Search)));
    assert!(late.late);
    let view = profile.view_at(Timestamp::from_millis(BEGIN_MS + hour));
    assert_eq!((view.behavior.sessions.total, view.behavior.late_events), (2, 1));
    let steps: Vec<_> = view.behavior.transitions.iter().map(|step| (step.from, step.to)).collect();
    assert_eq!(steps, [(ActionKind::View, ActionKind::Purchase)]);
    assert_eq!(view.behavior.actions.iter().map(|count| count.total).sum::<u64>(), 4);
}

#[test]
fn a_visit_has_an_upper_length() {
    let minutes = 9 * 60;
    let views: Vec<Record> = (0..minutes)
        .map(|minute| record(BEGIN_MS + minute * 60_000, minute as usize, event(Action::View)))
        .collect();
    let profile = folded(&views);
    let view = profile.view_at(Timestamp::from_millis(BEGIN_MS + minutes * 60_000));
    // Nine hours without a gap are three visits of at most four hours.
    assert_eq!((view.behavior.sessions.total, VISIT_MAX), (3, TimeDelta::from_hours(4)));
    assert!(!view.is_machine, "{} events", view.behavior.sessions.current_events);
}

#[test]
fn visits_of_a_program_are_noticed_and_forgotten() {
    let views = |count: u64| -> Profile {
        let at = |number: u64| BEGIN_MS + number as i64 * 10_000;
        folded(
            &(0..count)
                .map(|number| record(at(number), number as usize, event(Action::View)))
                .collect::<Vec<_>>(),
        )
    };
    let (person, program) = (views(MACHINE_VISIT_EVENTS - 1), views(MACHINE_VISIT_EVENTS));
    let newest = program.newest_event_at().expect("it has events");
    assert!(!person.is_machine_at(newest) && program.is_machine_at(newest));
    for (later, is_machine) in [(MACHINE_MEMORY, true), (TimeDelta::from_days(31), false)] {
        assert_eq!(program.view_at(newest.plus(later)).is_machine, is_machine, "{later:?}");
        assert_eq!(program.is_machine_at(newest.plus(later)), is_machine, "{later:?}");
    }
}

#[test]
fn a_shops_own_strength_counts_instead_of_the_common_one() {
    let share = |strength| {
        let mut event = event(Action::Share);
        event.category = Some("shoes".into());
        event.strength = strength;
        let profile = folded(&[record(BEGIN_MS, 0, event)]);
        profile.view_at(Timestamp::from_millis(BEGIN_MS)).preference.categories[0].weight.week
    };
    assert_eq!((share(None), share(Some(7.0))), (ActionKind::Share.strength(), 7.0));
}

#[test]
fn categories_of_recent_interest_rank_first_at_any_time() {
    let day = 86_400_000;
    let of = |category: &str, days: i64, number: usize| {
        let mut event = event(Action::View);
        event.category = Some(category.into());
        record(BEGIN_MS + days * day, number, event)
    };
    let long_ago = (0..30).map(|number| of("groceries", 0, number));
    let recent = (30..40).map(|number| of("books", 60, number));
    let records: Vec<Record> = long_ago.chain(recent).collect();
    let profile = folded(&records);
    let order = |days: i64| {
        let view = profile.view_at(Timestamp::from_millis(BEGIN_MS + days * day));
        view.preference.categories.into_iter().map(|affinity| affinity.name).collect::<Vec<_>>()
    };
    // After 20,000 days the 7-day weights underflow to 0.
    for days in [60, 100, 20_000] {
        assert_eq!(order(days), ["books", "groceries"], "after {days} days");
    }
}

fn any_text(max: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..max).prop_map(|chars| chars.into_iter().collect())
}

/// Generates ids of up to 128 bytes, mostly short ones, so that they repeat.
fn any_id() -> impl Strategy<Value = String> {
    prop_oneof![3 => (0..300_u32).prop_map(|number| format!("id-{number}")), 1 => "[a-z]{120,128}"]
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0..1000.0_f64,
        1 => any::<f64>(),
        1 => proptest::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE]),
    ]
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![4 => BEGIN_MS..BEGIN_MS + 86_400_000, 1 => any::<i64>()].prop_map(Timestamp::from_millis)
}

fn any_event() -> impl Strategy<Value = Event> {
    let action = prop_oneof![
        4 => proptest::sample::select(ACTIONS.to_vec()),
        1 => "[a-z]{1,32}".prop_map(|name| Action::Custom(CustomAction::parse(&name).expect("an id"))),
    ];
    let labels = (proptest::option::of(any_text(300)), proptest::option::of(any_id()));
    let ids = (proptest::option::of(any_id()), proptest::option::of(any_id()));
    (action, any::<i16>(), labels, ids, proptest::option::of(any_number()), any_number()).prop_map(
        |(action, utc_offset_minutes, (category, brand), (item, order), price, quantity)| Event {
            action,
            utc_offset_minutes,
            item_id: item.and_then(|id| ItemId::parse(&id).ok()),
            category: category.map(Into::into),
            brand: brand.map(Into::into),
            price,
            quantity,
            order_id: order.and_then(|id| OrderId::parse(&id).ok()),
            order_line: 0,
            strength: None,
            context: None,
        },
    )
}

fn any_body() -> impl Strategy<Value = Body> {
    let value = (any_id(), any_text(300))
        .prop_map(|(name, value)| TraitValue { name: name.into(), value: value.into() });
    let relation = (any_id(), any_number()).prop_map(|(other, weight)| Relation {
        other_user_id: UserId::parse(&other).expect("an id"),
        kind: RelationKind::Friend,
        weight,
    });
    let target = prop_oneof![Just(ScoreTarget::Propensity), Just(ScoreTarget::Risk)];
    let outcome =
        (target, any::<bool>(), proptest::option::of(any_id())).prop_map(|(target, happened, order)| {
            Outcome { target, happened, order_id: order.and_then(|id| OrderId::parse(&id).ok()) }
        });
    prop_oneof![
        6 => any_event().prop_map(Body::Event),
        1 => outcome.prop_map(Body::Outcome),
        1 => proptest::collection::vec(value, 0..5).prop_map(Body::Traits),
        2 => relation.prop_map(Body::Relation),
    ]
}

fn any_record() -> impl Strategy<Value = Record> {
    let id = proptest::option::of(any_id());
    let trace = proptest::option::of(any::<[u8; 24]>());
    let source = proptest::option::of("[a-z]{1,8}");
    let parts = (id, any_time(), any_time(), any_body(), trace, source);
    parts.prop_map(|(id, occurred_at, accepted_at, body, trace, source)| Record {
        user_id: user(),
        record_id: id.and_then(|id| RecordId::parse(&id).ok()),
        occurred_at,
        accepted_at,
        body,
        trace: trace.map(TraceContext),
        source: source.and_then(|name| SourceId::parse(&name).ok()),
    })
}

/// Compares bytes, since NaN is not equal to itself.
fn check_round_trip(profile: &Profile) {
    let bytes = profile.encode();
    let back = Profile::decode(&bytes).expect("what was encoded");
    assert_eq!(back.encode(), bytes);
    for length in 0..bytes.len() {
        assert!(
            Profile::decode(&bytes[..length]).is_err(),
            "a truncated profile of {length} bytes was decoded"
        );
    }
}

fn check_bounds(profile: &Profile) {
    assert!(profile.encode().len() < PROFILE_MAX_BYTES, "{} bytes", profile.encode().len());
    let view = profile.view_at(Timestamp::from_millis(BEGIN_MS));
    let customs = view.behavior.actions.iter().filter(|count| count.action.custom().is_some()).count();
    let sizes = [
        (view.traits.len(), TRAITS_MAX),
        (customs, CUSTOM_ACTIONS_MAX),
        (view.preference.categories.len(), CATEGORIES_MAX),
        (view.preference.brands.len(), BRANDS_MAX),
        (view.preference.price_bands.len(), PRICE_BANDS_MAX),
        (view.preference.recent_items.len(), RECENT_ITEMS_MAX),
        (view.edges.len(), EDGES_MAX),
        (view.behavior.transitions.len(), ActionKind::ALL.len() * ActionKind::ALL.len()),
    ];
    assert!(sizes.iter().all(|(size, max)| size <= max), "{sizes:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_record_survives_a_round_trip(record in any_record()) {
        let bytes = record.encode();
        let back = Record::decode(&bytes).expect("what was encoded");
        prop_assert_eq!(back.encode(), bytes);
    }

    #[test]
    fn any_profile_is_bounded_finite_and_survives_a_round_trip(
        records in proptest::collection::vec(any_record(), 0..600),
        now in any_time(),
    ) {
        let profile = folded(&records);
        check_bounds(&profile);
        check_round_trip(&profile);
        let features = profile.features_at(now);
        prop_assert_eq!(features.len(), FeatureSchema::current().components().len());
        prop_assert!(features.iter().all(|value| value.is_finite()), "{:?}", features);
        prop_assert_eq!(profile.applied_events(), records.len() as u64);
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(profile) = Profile::decode(&bytes) {
            let _ = profile.view_at(Timestamp::EPOCH);
            let _ = profile.features_at(Timestamp::EPOCH);
        }
        let _ = Record::decode(&bytes);
    }
}

#[test]
fn the_largest_profile_is_within_the_limit() {
    let mut profile = Profile::new(UserId::parse(&"u".repeat(128)).expect("an id"));
    for number in 0..3000_usize {
        let long = |prefix: &str| format!("{prefix}-{number:0>width$}", width = 127 - prefix.len());
        let mut activity = event(match number % 12 {
            10 | 11 => {
                Action::Custom(CustomAction::parse(&format!("custom-{:0>25}", number % 40)).expect("an id"))
            }
            kind => ACTIONS[kind].clone(),
        });
        activity.item_id = ItemId::parse(&if number % 2 == 0 { long("i") } else { number.to_string() }).ok();
        activity.category = Some(long("c").into());
        activity.brand = Some(long("b").into());
        activity.price = Some(f64::exp2((number % 30) as f64));
        activity.order_id = OrderId::parse(&long("o")).ok();
        profile.apply(&record(BEGIN_MS + number as i64 * 1_000_003, number, activity));
        let mut stated = record(BEGIN_MS + number as i64, number, event(Action::View));
        stated.body = Body::Traits(vec![TraitValue { name: long("t").into(), value: long("v").into() }]);
        profile.apply(&stated);
        stated.body = Body::Relation(Relation {
            other_user_id: UserId::parse(&long("n")).expect("an id"),
            kind: RelationKind::Stranger,
            weight: 0.5,
        });
        profile.apply(&stated);
        assert!(profile.encode().len() < PROFILE_MAX_BYTES, "{} bytes", profile.encode().len());
    }
    check_bounds(&profile);
}

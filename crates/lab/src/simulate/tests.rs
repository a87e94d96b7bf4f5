//! Contract of the simulated shop: the same seed gives the same shop, every message is within the limits of the API,
//! and the planted truth shows in the events.

use super::*;
use portrait_profile::{Timestamp, check_id, check_text};
use portrait_proto::v1::{self, Action};
use std::collections::{BTreeMap, BTreeSet};

const SMALL: SimulateConfig = SimulateConfig { users: 300, days: 60, items: 200, steady: false };

fn events(seed: u64, config: SimulateConfig) -> Vec<v1::Event> {
    ShopSimulator::new(seed, config).filter_map(ShopEvent::into_event).collect()
}

fn at(event: &v1::Event) -> Timestamp {
    portrait_proto::time::from_wire(event.occurred_at.as_ref().expect("every event has a time"))
        .expect("a timestamp")
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[test]
fn the_same_seed_gives_the_same_shop_and_another_seed_a_different_one() {
    let config = SimulateConfig { users: 40, days: 12, items: 30, ..Default::default() };
    for seed in [0, 1, 7, u64::MAX] {
        let (first, second): (Vec<_>, Vec<_>) =
            (ShopSimulator::new(seed, config).collect(), ShopSimulator::new(seed, config).collect());
        assert_eq!(first, second, "seed {seed}");
        assert_ne!(first, ShopSimulator::new(seed ^ 2, config).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn events_come_in_the_order_of_time_and_ids_are_unique() {
    let rows = [(1, 1, 1), (1, 3, 10), (7, 2, 10), (50, 30, 500), (300, 60, 200)];
    for (users, days, items) in rows {
        let config = SimulateConfig { users, days, items, ..Default::default() };
        let mut newest = Timestamp::EPOCH;
        let mut ids = BTreeSet::new();
        for event in ShopSimulator::new(3, config) {
            assert!(event.at >= newest, "{config:?}");
            newest = event.at;
            let id = match event.kind {
                ShopEventKind::Item(_) => continue,
                ShopEventKind::Traits(update) => update.event_id,
                ShopEventKind::Relation(relation) => relation.event_id,
                ShopEventKind::Event(event) => event.event_id,
            };
            assert!(ids.insert(id.clone()), "{id} is not unique in {config:?}");
        }
        assert!(newest < Day::numbered(days).next().midnight(), "{config:?} ends at {newest}");
    }
}

#[test]
fn at_most_one_day_of_events_is_held_in_memory() {
    let mut shop = ShopSimulator::new(5, SMALL);
    let mut queued_max = 0;
    while shop.next().is_some() {
        queued_max = queued_max.max(shop.ready.len() + shop.after_midnight.len());
        assert!(shop.users.iter().all(|user| user.cart.len() <= users::CART_LINES_MAX));
        assert!(shop.users.iter().all(|user| user.deferred_actions.len() <= users::DEFERRED_ACTIONS_MAX));
    }
    assert!((500..6_000).contains(&queued_max), "{queued_max}");
}

#[test]
fn every_message_is_within_the_limits_of_the_api() {
    for event in ShopSimulator::new(11, SMALL) {
        match &event.kind {
            ShopEventKind::Event(event) => assert_event(event),
            ShopEventKind::Item(item) => {
                let named = check_id(&item.item_id).and(check_id(&item.category)).and(check_id(&item.brand));
                named.expect("ids");
                check_text(&item.title, 256).expect("a title");
                assert!(item.price.is_some_and(|price| (0.01..1e6).contains(&price)), "{item:?}");
            }
            ShopEventKind::Traits(update) => {
                check_id(&update.user_id).expect("an id");
                assert!((1..=32).contains(&update.traits.len()));
                for (name, value) in &update.traits {
                    check_text(name, 64).and(check_text(value, 256)).expect("a trait");
                }
            }
            ShopEventKind::Relation(relation) => {
                check_id(&relation.user_id).and(check_id(&relation.other_user_id)).expect("ids");
                assert_ne!(relation.user_id, relation.other_user_id);
                assert!((0.0..=1.0).contains(&relation.weight) && relation.kind != 0, "{relation:?}");
            }
        }
    }
}

fn assert_event(event: &v1::Event) {
    check_id(&event.event_id).and(check_id(&event.user_id)).expect("ids");
    for id in [&event.item_id, &event.category, &event.brand, &event.order_id, &event.session_id] {
        assert!(id.is_empty() || check_id(id).is_ok(), "{event:?}");
    }
    check_text(&event.query, 256).expect("the words of a search");
    assert!(portrait_proto::action::kind_from_wire(event.action).is_some(), "{event:?}");
    assert!(event.custom_action.is_empty() && event.currency.is_empty() && event.properties.is_empty());
    assert!(event.price.is_none_or(|price| price.is_finite() && (0.0..=1e9).contains(&price)), "{event:?}");
    assert!(event.quantity.is_none_or(|quantity| quantity > 0.0 && quantity <= 1e6), "{event:?}");
    let searched = event.action() == Action::Search;
    assert!(searched != event.query.is_empty() && searched == event.item_id.is_empty(), "{event:?}");
}

#[test]
fn actions_have_the_proportions_of_a_real_shop() {
    let events = events(7, SMALL);
    let mut counts: BTreeMap<i32, usize> = BTreeMap::new();
    for event in &events {
        *counts.entry(event.action).or_default() += 1;
    }
    let rows = [
        (Action::View, 0.50, 0.70),
        (Action::Search, 0.08, 0.20),
        (Action::Click, 0.05, 0.20),
        (Action::AddToCart, 0.03, 0.10),
        (Action::RemoveFromCart, 0.001, 0.03),
        (Action::Favorite, 0.01, 0.06),
        (Action::Purchase, 0.02, 0.04),
        (Action::Refund, 0.0005, 0.006),
        (Action::Review, 0.001, 0.01),
        (Action::Share, 0.003, 0.03),
    ];
    for (action, from, to) in rows {
        let share = share(counts.get(&action.into()).copied().unwrap_or(0), events.len());
        assert!((from..to).contains(&share), "{action:?} is {share}");
    }
}

#[test]
fn a_promotion_shows_in_prices_views_and_orders() {
    let shop = ShopSimulator::new(7, SMALL);
    let promotion = *shop.promotion().expect("60 days have a promotion");
    let events: Vec<v1::Event> = shop.filter_map(ShopEvent::into_event).collect();
    let within = |event: &v1::Event| promotion.has(Day::of(at(event)));
    let before = |event: &v1::Event| {
        let day = Day::of(at(event));
        day < promotion.from && promotion.from.since(day) <= 7
    };
    let share_of = |action: Action, when: &dyn Fn(&v1::Event) -> bool| {
        let of_action: Vec<_> =
            events.iter().filter(|event| event.action() == action && when(event)).collect();
        share(of_action.iter().filter(|event| event.category == promotion.category).count(), of_action.len())
    };
    for action in [Action::View, Action::Purchase] {
        let (regular, low) = (share_of(action, &before), share_of(action, &within));
        assert!(low > 1.5 * regular, "{action:?}: {regular} before, {low} within");
    }
    let mut prices: BTreeMap<&str, (Option<f64>, Option<f64>)> = BTreeMap::new();
    let viewed =
        events.iter().filter(|event| event.action() == Action::View && event.category == promotion.category);
    for event in viewed {
        let (regular, low) = prices.entry(&event.item_id).or_default();
        *(if within(event) { low } else { regular }) = event.price;
    }
    let mut compared = 0;
    for (item, prices) in prices {
        if let (Some(regular), Some(low)) = prices {
            assert!((low / regular - promotion.price_factor).abs() < 0.02, "{item}: {regular}, then {low}");
            compared += 1;
        }
    }
    assert!(compared > 5, "{compared} items were seen at both prices");
}

#[test]
fn a_tenth_change_their_habits_and_keep_to_the_new_ones() {
    let shop = ShopSimulator::new(7, SMALL);
    let truths: BTreeMap<String, UserTruth> =
        shop.truths().iter().map(|truth| (truth.user_id.clone(), truth.clone())).collect();
    assert_eq!(truths.len(), 300, "ids are unique");
    assert_eq!(truths.values().filter(|truth| truth.change.is_some()).count(), 30);
    let mut favourite = (0, 0);
    let mut in_hours = (0, 0);
    for event in shop.filter_map(ShopEvent::into_event) {
        let truth = &truths[&event.user_id];
        let day = Day::of(at(&event));
        let Some(change) = truth.change else { continue };
        assert_ne!((truth.user_type, truth.category), (change.user_type, change.category));
        // The first hours of the day of the change may belong to a visit of the night before.
        if day > change.on && !event.category.is_empty() {
            favourite.0 += usize::from(event.category == change.category);
            favourite.1 += 1;
            let (from, to) = change.user_type.hours();
            let hour = at(&event).since(day.midnight()).millis() / 3_600_000;
            let hour = u32::try_from(hour).expect("an hour of a day");
            in_hours.0 += usize::from((hour + 24 - from) % 24 <= (to + 24 - from) % 24);
            in_hours.1 += 1;
        }
    }
    assert!(share(favourite.0, favourite.1) > 0.45, "{favourite:?}");
    assert!(share(in_hours.0, in_hours.1) > 0.7, "{in_hours:?}");
}

#[test]
fn no_user_comes_before_arriving_or_after_going_quiet() {
    let shop = ShopSimulator::new(7, SMALL);
    let truths: BTreeMap<String, UserTruth> =
        shop.truths().iter().map(|truth| (truth.user_id.clone(), truth.clone())).collect();
    let newcomers = truths.values().filter(|truth| truth.arrives_on > Day::FIRST).count();
    let quiet = truths.values().filter(|truth| truth.quiet_from.is_some()).count();
    assert!(newcomers == 30 && (8..40).contains(&quiet), "{newcomers} newcomers, {quiet} quiet");
    for event in shop.filter_map(ShopEvent::into_event) {
        let truth = &truths[&event.user_id];
        assert!(at(&event) >= truth.arrives_on.midnight(), "{event:?}");
        // A visit of the last evening may end after midnight.
        assert!(truth.quiet_from.is_none_or(|quiet| at(&event) < quiet.next().midnight()), "{event:?}");
    }
}

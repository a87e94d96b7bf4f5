//! Loads of the benchmarks: events in memory, so that generating them is not part of the measurement.

use crate::simulate::{self, ShopSimulator};
use anyhow::{Context, Result};
use portrait_connect::files::{Format, LogReader, LogRow};
use portrait_proto::v1::{self, Event};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::HashSet;
use std::path::Path;

/// Time of the first generated event: 2025-09-01T00:00:00Z.
const BEGIN_S: i64 = 1_756_684_800;

/// Events of users of no other load, enough to reach every partition.
pub(super) fn strangers() -> Vec<Event> {
    let mut events = distinct_users(2000);
    for event in &mut events {
        event.event_id.insert_str(0, "strange-");
        event.user_id.insert_str(0, "strange-");
    }
    events
}

/// `count` views, each by a different user.
pub(super) fn distinct_users(count: usize) -> Vec<Event> {
    let event = |number: usize| Event {
        event_id: format!("distinct-{number}"),
        user_id: format!("shopper-{number:09}"),
        action: v1::Action::View.into(),
        occurred_at: Some(prost_types::Timestamp { seconds: BEGIN_S + (number / 100) as i64, nanos: 0 }),
        item_id: format!("item-{}", number % 5000),
        category: format!("category-{}", number % 40),
        brand: format!("brand-{}", number % 300),
        price: Some(5.0 + (number % 200) as f64),
        ..Default::default()
    };
    (0..count).map(event).collect()
}

/// Events of a shop with `items` items. Each user comes on two days a week apart and views `per_user` items in all,
/// half of them close to one another; every third user buys the last one of each day.
pub(super) fn wide_shop(shoppers: usize, items: usize, each: usize, seed: u64) -> Vec<Event> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut events = Vec::with_capacity(shoppers * each);
    for number in 0..shoppers {
        let liked = chance.random_range(0..items);
        for step in 0..each {
            let day = if 2 * step < each { 0 } else { 8 * 86_400 };
            // Half of the views are close to one another: without that structure, factors and co-occurrence would
            // have nothing to learn and little to score.
            let thing = match step % 2 {
                0 => (liked + chance.random_range(0..items.div_ceil(500))) % items,
                _ => chance.random_range(0..items),
            };
            let last = step + 1 == each || step + 1 == each / 2;
            let buys = last && number.is_multiple_of(3);
            let action = if buys { v1::Action::Purchase } else { v1::Action::View };
            events.push(Event {
                event_id: format!("wide-{number}-{step}"),
                user_id: format!("wide-{number}"),
                action: action.into(),
                occurred_at: Some(prost_types::Timestamp {
                    seconds: BEGIN_S + day + (number % 20_000 + 30 * step) as i64,
                    nanos: 0,
                }),
                item_id: format!("thing-{thing}"),
                category: format!("category-{}", thing * 40 / items),
                price: Some(5.0 + (thing % 200) as f64),
                ..Default::default()
            });
        }
    }
    events
}

/// Events of returning users, from a log or from the simulated shop, and a name for the table.
pub(super) fn repeated_users(log: Option<(&Path, Format)>, most: usize) -> Result<(String, Vec<Event>)> {
    let Some((path, format)) = log else {
        let shop = ShopSimulator::new(7, simulate::SimulateConfig::default());
        let events = shop.filter_map(simulate::ShopEvent::into_event).take(most).collect();
        return Ok(("shoppers of the simulated shop".to_owned(), events));
    };
    Ok((format!("shoppers of {}", file_name(path)?), events_of(path, format, most)?))
}

/// First `events_max` events of a log.
pub(super) fn events_of(path: &Path, format: Format, most: usize) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for row in LogReader::open(path, format, format.default_event_id())? {
        if let LogRow::Event(event) = row? {
            events.push(event);
        }
        if events.len() == most {
            break;
        }
    }
    Ok(events)
}

/// File name of a log.
pub(super) fn file_name(path: &Path) -> Result<String> {
    Ok(path.file_name().context("the log has a name")?.to_string_lossy().into_owned())
}

/// Events of a log, repeated for copies of its users until there are `users` users or `events_max` events; returns
/// the number of users as well.
pub(super) fn copied(events: &[Event], shoppers: usize, most: usize) -> (Vec<Event>, usize) {
    let there = events.iter().map(|event| event.user_id.as_str()).collect::<HashSet<_>>().len();
    let copies = shoppers.div_ceil(there.max(1)).min(most / events.len().max(1)).max(1);
    let mut all = Vec::with_capacity(events.len() * copies);
    for copy in 0..copies {
        all.extend(events.iter().cloned().map(|mut event| {
            if copy > 0 {
                event.user_id.push_str(&format!("~{copy}"));
                event.event_id.push_str(&format!("~{copy}"));
            }
            event
        }));
    }
    (all, there * copies)
}

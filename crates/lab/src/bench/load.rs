//! Loads of the benchmarks: events in memory, so that generating them is not part of the measurement.

use crate::checked_log::{CheckedLog, CheckedRow};
use crate::simulate::{self, ShopSimulator};
use anyhow::{Context, Result};
use portrait_connect::files::{Mapping, MappingArgs};
use portrait_proto::v1::{self, Event};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// Time of the first generated event: 2025-09-01T00:00:00Z.
const BEGIN_S: i64 = 1_756_684_800;

/// Events of users of no other load, enough to reach every partition.
pub(super) fn warm_up_users() -> Vec<Event> {
    let mut events = distinct_users(2000);
    for event in &mut events {
        event.event_id.insert_str(0, "warm-up-");
        event.user_id.insert_str(0, "warm-up-");
    }
    events
}

/// `count` views, each by a different user.
pub(super) fn distinct_users(count: usize) -> Vec<Event> {
    (0..count)
        .map(|index| Event {
            event_id: format!("distinct-{index}"),
            user_id: format!("user-{index:09}"),
            action: v1::Action::View.into(),
            occurred_at: Some(prost_types::Timestamp { seconds: BEGIN_S + (index / 100) as i64, nanos: 0 }),
            item_id: format!("item-{}", index % 5000),
            category: format!("category-{}", index % 40),
            brand: format!("brand-{}", index % 300),
            price: Some(5.0 + (index % 200) as f64),
            ..Default::default()
        })
        .collect()
}

/// Events of a shop with `items` items. Each user comes on two days a week apart and views `per_user` items in all,
/// half of them close to one another; every third user buys the last one of each day.
pub(super) fn wide_shop(users: usize, items: usize, per_user: usize, seed: u64) -> Vec<Event> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut events = Vec::with_capacity(users * per_user);
    for index in 0..users {
        let liked = rng.random_range(0..items);
        for step in 0..per_user {
            let day = if 2 * step < per_user { 0 } else { 8 * 86_400 };
            // Half of the views are close to one another: without that structure, factors and co-occurrence would
            // have nothing to learn and little to score.
            let item = match step % 2 {
                0 => (liked + rng.random_range(0..items.div_ceil(500))) % items,
                _ => rng.random_range(0..items),
            };
            let last = step + 1 == per_user || step + 1 == per_user / 2;
            let buys = last && index.is_multiple_of(3);
            let action = if buys { v1::Action::Purchase } else { v1::Action::View };
            events.push(Event {
                event_id: format!("wide-{index}-{step}"),
                user_id: format!("wide-{index}"),
                action: action.into(),
                occurred_at: Some(prost_types::Timestamp {
                    seconds: BEGIN_S + day + (index % 20_000 + 30 * step) as i64,
                    nanos: 0,
                }),
                item_id: format!("item-{item}"),
                category: format!("category-{}", item * 40 / items),
                price: Some(5.0 + (item % 200) as f64),
                ..Default::default()
            });
        }
    }
    events
}

/// Events of returning users, from a log or from the simulated shop, and a name for the table.
pub(super) fn repeated_users(
    log: Option<&Path>,
    mapping: &MappingArgs,
    events_max: usize,
) -> Result<(String, Vec<Event>)> {
    let Some(path) = log else {
        let shop = ShopSimulator::new(7, simulate::SimulateConfig::default());
        let events = shop.filter_map(simulate::ShopEvent::into_event).take(events_max).collect();
        return Ok(("users of the simulated shop".to_owned(), events));
    };
    Ok((format!("users of {}", file_name(path)?), events_of(path, &mapping.mapping(path)?.0, events_max)?))
}

/// First `events_max` events of a log that a server takes, in the order of time.
pub(super) fn events_of(path: &Path, mapping: &Arc<Mapping>, events_max: usize) -> Result<Vec<Event>> {
    let mut log = CheckedLog::in_file_order(path, mapping, &portrait_ingest::Config::default())?;
    let mut events = Vec::new();
    for row in log.by_ref() {
        if let CheckedRow::Event { event, record } = row? {
            events.push((record.occurred_at, event));
        }
        if events.len() == events_max {
            break;
        }
    }
    log.warn();
    // The first rows are enough, and only they are sorted: a log may be far larger than a load.
    events.sort_by_key(|(at, _)| *at);
    Ok(events.into_iter().map(|(_, event)| event).collect())
}

/// File name of a log.
pub(super) fn file_name(path: &Path) -> Result<String> {
    Ok(path.file_name().context("the path of the log has no file name")?.to_string_lossy().into_owned())
}

/// Events of a log, repeated for copies of its users until there are `users` users or `events_max` events; returns
/// the number of users as well.
pub(super) fn with_copies(events: &[Event], users: usize, events_max: usize) -> (Vec<Event>, usize) {
    let count = events.iter().map(|event| event.user_id.as_str()).collect::<HashSet<_>>().len();
    // Copies repeat real behaviour: generated users would have profiles of one size.
    let copies = users.div_ceil(count.max(1)).min(events_max / events.len().max(1)).max(1);
    let mut all = Vec::with_capacity(events.len() * copies);
    for copy in 0..copies {
        all.extend(events.iter().cloned().map(|mut event| {
            // The first copy keeps the ids of the log.
            if copy > 0 {
                event.user_id.push_str(&format!("~{copy}"));
                event.event_id.push_str(&format!("~{copy}"));
            }
            event
        }));
    }
    (all, count * copies)
}

//! The loads: events in memory, ready to be sent, so that making them is not part of what is measured.

use crate::import::{Format, LogReader, Row};
use crate::simulate::{self, Shop};
use anyhow::{Context, Result};
use portrait_proto::v1::{self, Event};
use std::path::Path;

/// Where the made-up events begin: 2025-09-01T00:00:00Z.
const BEGIN_S: i64 = 1_756_684_800;

/// `count` views, each by another shopper.
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

/// Events of shoppers who come again, of a real log or of the simulated shop, and what to call them.
pub(super) fn repeated_users(log: Option<(&Path, Format)>, most: usize) -> Result<(String, Vec<Event>)> {
    let Some((path, format)) = log else {
        let shop = Shop::new(7, simulate::SimulateConfig::default());
        let events = shop.filter_map(simulate::Happening::into_event).take(most).collect();
        return Ok(("shoppers of the simulated shop".to_owned(), events));
    };
    let mut events = Vec::new();
    for row in LogReader::open(path, format, format.default_event_id())? {
        if let Row::Event(event) = row? {
            events.push(event);
        }
        if events.len() == most {
            break;
        }
    }
    let file = path.file_name().context("the log has a name")?.to_string_lossy();
    Ok((format!("shoppers of {file}"), events))
}

//! The loads: events in memory, ready to be sent, so that making them is not part of what is measured.

use crate::import::{Format, LogReader, Row};
use crate::simulate::{self, Shop};
use anyhow::{Context, Result, bail};
use portrait_profile::{Action, Body, ItemId, OrderId, Record, RecordId, UserId};
use portrait_proto::time;
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

/// The record that the server makes of an event of these loads: what is logged and folded, without the check.
pub(super) fn record(event: &Event) -> Result<Record> {
    let occurred_at = event.occurred_at.as_ref().context("every event of a load has a time")?;
    let occurred_at = time::from_wire(occurred_at)?;
    let text = |text: &str| (!text.is_empty()).then(|| Box::<str>::from(text));
    let body = Body::Event(portrait_profile::Event {
        action: action(event.action())?,
        utc_offset_minutes: 0,
        item_id: (!event.item_id.is_empty()).then(|| ItemId::parse(&event.item_id)).transpose()?,
        category: text(&event.category),
        brand: text(&event.brand),
        price: event.price,
        quantity: event.quantity.unwrap_or(1.0),
        order_id: (!event.order_id.is_empty()).then(|| OrderId::parse(&event.order_id)).transpose()?,
        context: None,
    });
    Ok(Record {
        user_id: UserId::parse(&event.user_id)?,
        record_id: Some(RecordId::parse(&event.event_id)?),
        occurred_at,
        accepted_at: occurred_at,
        body,
    })
}

fn action(action: v1::Action) -> Result<Action> {
    Ok(match action {
        v1::Action::View => Action::View,
        v1::Action::Search => Action::Search,
        v1::Action::Click => Action::Click,
        v1::Action::AddToCart => Action::AddToCart,
        v1::Action::RemoveFromCart => Action::RemoveFromCart,
        v1::Action::Favorite => Action::Favorite,
        v1::Action::Purchase => Action::Purchase,
        v1::Action::Refund => Action::Refund,
        v1::Action::Review => Action::Review,
        v1::Action::Share => Action::Share,
        v1::Action::Custom | v1::Action::Unspecified => bail!("a load has no custom actions"),
    })
}

//! Lines of JSON with the field names of the API's `Event`: `{"user_id": "u1", "action": "view", "occurred_at":
//! "2024-01-01T00:00:00Z"}`. Unknown names are refused, so that a misspelt one is not lost in silence.

use super::super::error::ReadError;
use portrait_profile::ActionKind;
use portrait_proto::action::kind_to_wire;
use portrait_proto::v1::{Action, Event};
use serde::Deserialize;
use std::collections::HashMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEvent {
    #[serde(default)]
    event_id: String,
    user_id: String,
    action: String,
    #[serde(default)]
    custom_action: String,
    occurred_at: jiff::Timestamp,
    #[serde(default)]
    item_id: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    brand: String,
    price: Option<f64>,
    #[serde(default)]
    currency: String,
    quantity: Option<f64>,
    #[serde(default)]
    order_id: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    session_id: String,
    #[serde(default)]
    anonymous_id: String,
    #[serde(default)]
    properties: HashMap<String, String>,
}

/// The event of a line.
pub(crate) fn json(text: &str, line: u64) -> Result<Event, ReadError> {
    let read: JsonEvent = serde_json::from_str(text).map_err(|error| ReadError::Field {
        line,
        column: error.column(),
        name: "JSON".to_owned(),
        problem: error.to_string(),
    })?;
    let occurred_at = prost_types::Timestamp {
        seconds: read.occurred_at.as_second(),
        nanos: read.occurred_at.subsec_nanosecond(),
    };
    Ok(Event {
        action: action(&read.action).into(),
        event_id: read.event_id,
        user_id: read.user_id,
        custom_action: read.custom_action,
        occurred_at: Some(occurred_at),
        item_id: read.item_id,
        category: read.category,
        brand: read.brand,
        price: read.price,
        currency: read.currency,
        quantity: read.quantity,
        order_id: read.order_id,
        query: read.query,
        session_id: read.session_id,
        anonymous_id: read.anonymous_id,
        properties: read.properties,
    })
}

/// `view` and `ACTION_VIEW` alike. What is neither stays unspecified, and the server says so of this event.
fn action(name: &str) -> Action {
    let named = |kind: &ActionKind| kind.name() == name;
    let kind = ActionKind::ALL.into_iter().find(named).map(kind_to_wire);
    kind.or_else(|| Action::from_str_name(name)).unwrap_or(Action::Unspecified)
}

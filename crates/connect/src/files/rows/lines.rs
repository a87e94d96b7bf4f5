//! JSON lines with the field names of the API's `Event`: `{"user_id": "u1", "action": "view", "occurred_at":
//! "2024-01-01T00:00:00Z"}`. Unknown fields are refused, so that a misspelt one is not ignored.

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
    order_line: u32,
    #[serde(default)]
    query: String,
    #[serde(default)]
    session_id: String,
    #[serde(default)]
    anonymous_id: String,
    #[serde(default)]
    properties: HashMap<String, String>,
}

/// Parses one line as an event.
pub(crate) fn json(text: &str, line: u64) -> Result<Event, ReadError> {
    let parsed: JsonEvent = serde_json::from_str(text).map_err(|error| ReadError::Field {
        line,
        // The column is the character in the line: JSON has no table columns.
        column: error.column(),
        name: "JSON".to_owned(),
        problem: error.to_string(),
    })?;
    let occurred_at = prost_types::Timestamp {
        seconds: parsed.occurred_at.as_second(),
        nanos: parsed.occurred_at.subsec_nanosecond(),
    };
    // Fields are listed in full, so that a new field of `Event` does not compile until this format has it.
    Ok(Event {
        action: action(&parsed.action).into(),
        event_id: parsed.event_id,
        user_id: parsed.user_id,
        custom_action: parsed.custom_action,
        occurred_at: Some(occurred_at),
        item_id: parsed.item_id,
        category: parsed.category,
        brand: parsed.brand,
        price: parsed.price,
        currency: parsed.currency,
        quantity: parsed.quantity,
        order_id: parsed.order_id,
        order_line: parsed.order_line,
        query: parsed.query,
        session_id: parsed.session_id,
        anonymous_id: parsed.anonymous_id,
        properties: parsed.properties,
    })
}

/// Parses an action: `view` or `ACTION_VIEW`. An unknown name stays unspecified, and the server rejects that event alone.
fn action(name: &str) -> Action {
    let kind = ActionKind::ALL.into_iter().find(|kind| kind.name() == name).map(kind_to_wire);
    kind.or_else(|| Action::from_str_name(name)).unwrap_or(Action::Unspecified)
}

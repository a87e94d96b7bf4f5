//! Validation of an event. Fields that the catalogue may add are still missing.

use super::{Validator, label, number, optional, record_id, text};
use portrait_profile::{
    Action, ActionKind, Body, CustomAction, Event, EventContext, ItemId, OrderId, Record, Timestamp,
};
use portrait_proto::action::kind_from_wire;
use portrait_proto::request::{ValidationError, user_id};
use portrait_proto::v1::{self, ErrorReason};
use std::collections::HashMap;

const QUERY_MAX_BYTES: usize = 256;
const SESSION_ID_MAX_BYTES: usize = 128;
const PROPERTIES_MAX: usize = 16;
const PROPERTY_NAME_MAX_BYTES: usize = 64;
const PROPERTY_VALUE_MAX_BYTES: usize = 256;
/// Name and value of a property.
type Property = (Box<str>, Box<str>);

/// Smallest quantity; less cannot be distinguished from none.
const QUANTITY_MIN: f64 = 1e-6;
const QUANTITY_MAX: f64 = 1e6;

impl Validator {
    /// Validates an event that arrives at `now`.
    pub(crate) fn event(&self, event: v1::Event, now: Timestamp) -> Result<Record, ValidationError> {
        let user_id = user_id("user_id", &event.user_id)?;
        let record_id = record_id(&event.event_id)?;
        let action = self.action(event.action, &event.custom_action)?;
        let strength = self.strengths.of(&action);
        let occurred_at = self.occurred_at(event.occurred_at.as_ref(), now)?;
        let quantity = number("quantity", event.quantity.unwrap_or(1.0), QUANTITY_MIN..=QUANTITY_MAX)?;
        let body = Body::Event(Event {
            action,
            utc_offset_minutes: self.shop_time.utc_offset_minutes(occurred_at),
            item_id: optional("item_id", &event.item_id, ItemId::parse)?,
            category: label("category", event.category)?,
            brand: label("brand", event.brand)?,
            price: self.price(event.price, &event.currency)?,
            quantity,
            order_id: optional("order_id", &event.order_id, OrderId::parse)?,
            order_line: event.order_line,
            strength,
            context: context(event.query, event.session_id, event.anonymous_id, event.properties)?,
        });
        Ok(Record { user_id, record_id, occurred_at, accepted_at: now, body, trace: None })
    }

    fn action(&self, number: i32, custom: &str) -> Result<Action, ValidationError> {
        let kind = kind_from_wire(number).ok_or_else(|| {
            let message = format!("{number} is no action: send one of the enum Action, from ACTION_VIEW on");
            ValidationError::new(ErrorReason::UnknownAction, "action", message)
        })?;
        if kind != ActionKind::Custom && !custom.is_empty() {
            let message = "goes with ACTION_CUSTOM only: leave it empty, or send that action";
            return Err(ValidationError::new(ErrorReason::ConflictingFields, "custom_action", message));
        }
        let action = match kind {
            ActionKind::View => Action::View,
            ActionKind::Search => Action::Search,
            ActionKind::Click => Action::Click,
            ActionKind::AddToCart => Action::AddToCart,
            ActionKind::RemoveFromCart => Action::RemoveFromCart,
            ActionKind::Favorite => Action::Favorite,
            ActionKind::Purchase => Action::Purchase,
            ActionKind::Refund => Action::Refund,
            ActionKind::Review => Action::Review,
            ActionKind::Share => Action::Share,
            ActionKind::Custom => Action::Custom(self.custom_action(custom)?),
        };
        Ok(action)
    }

    fn custom_action(&self, name: &str) -> Result<CustomAction, ValidationError> {
        let known = self.custom_actions.iter().find(|known| known.as_str() == name);
        known.cloned().ok_or_else(|| {
            let message = format!("{name:?} is not configured: add it to ingest.custom_actions");
            ValidationError::new(ErrorReason::UnknownAction, "custom_action", message)
        })
    }
}

fn context(
    query: String,
    session_id: String,
    anonymous_id: String,
    properties: HashMap<String, String>,
) -> Result<Option<Box<EventContext>>, ValidationError> {
    let context = EventContext {
        query: text("query", query, QUERY_MAX_BYTES)?,
        session_id: text("session_id", session_id, SESSION_ID_MAX_BYTES)?,
        anonymous_id: text("anonymous_id", anonymous_id, SESSION_ID_MAX_BYTES)?,
        properties: checked_properties(properties)?,
    };
    Ok((context != EventContext::default()).then(|| Box::new(context)))
}

fn checked_properties(properties: HashMap<String, String>) -> Result<Vec<Property>, ValidationError> {
    if properties.len() > PROPERTIES_MAX {
        let message = format!("has {} entries, {PROPERTIES_MAX} are allowed", properties.len());
        return Err(ValidationError::new(ErrorReason::TooMany, "properties", message));
    }
    let checked = properties.into_iter().map(|(name, value)| {
        let field = format!("properties[{name:.64?}]");
        let name = text("properties", name, PROPERTY_NAME_MAX_BYTES)?;
        Ok((name, text(&field, value, PROPERTY_VALUE_MAX_BYTES)?))
    });
    let mut checked = checked.collect::<Result<Vec<_>, ValidationError>>()?;
    // A map has no order on the wire, and equal events must yield equal records.
    checked.sort_unstable();
    Ok(checked)
}

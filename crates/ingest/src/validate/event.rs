//! Validation of an event. Fields that the catalogue may add are still missing.

use super::{Validator, label, number};
use crate::losses::{Losses, LossyField};
use portrait_profile::{Action, ActionKind, Body, CustomAction, Event, Record, Timestamp};
use portrait_proto::action::kind_from_wire;
use portrait_proto::request::ValidationError;
use portrait_proto::v1::{self, ErrorReason};

/// Smallest quantity; less cannot be distinguished from none.
const QUANTITY_MIN: f64 = 1e-6;
const QUANTITY_MAX: f64 = 1e6;

impl Validator {
    /// Validates an event that arrives at `now`. Fields beside id, action, time, item and money lose themselves, not the event.
    pub(crate) fn event(
        &self,
        event: v1::Event,
        now: Timestamp,
        losses: &mut Losses,
    ) -> Result<Record, ValidationError> {
        let user_id = self.ids.user_id("user_id", &event.user_id)?;
        let record_id = self.ids.record_id(&event.event_id)?;
        let source = self.ids.source(&event.source, record_id.as_ref())?;
        let action = self.action(event.action, &event.custom_action)?;
        let strength = self.strengths.of(&action);
        let occurred_at = self.occurred_at(event.occurred_at.as_ref(), now)?;
        let quantity = number("quantity", event.quantity.unwrap_or(1.0), QUANTITY_MIN..=QUANTITY_MAX)?;
        let body = Body::Event(Event {
            action,
            utc_offset_minutes: self.shop_time.utc_offset_minutes(occurred_at),
            item_id: self.ids.optional_item_id(&event.item_id)?,
            category: label(LossyField::Category, event.category, losses),
            brand: label(LossyField::Brand, event.brand, losses),
            price: self.price(event.price, &event.currency)?,
            quantity,
            order_id: self.ids.order_id(&event.order_id)?,
            order_line: event.order_line,
            strength,
            context: self.context(
                event.query,
                event.session_id,
                event.anonymous_id,
                event.properties,
                losses,
            ),
        });
        Ok(Record { user_id, record_id, occurred_at, accepted_at: now, body, trace: None, source })
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

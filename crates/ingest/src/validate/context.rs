//! Data of an event that are kept in the log only. A defective field loses itself, never the event, and personal data are dropped.

use super::Validator;
use crate::losses::{DropReason, Losses, LossyField};
use crate::personal::{PersonalKind, kind_of_value};
use crate::trait_policies::{NAME_MAX_BYTES, PolicyResult, VALUE_MAX_BYTES};
use portrait_profile::{EventContext, check_text, is_invisible};
use std::collections::HashMap;

const QUERY_MAX_BYTES: usize = 256;
const SESSION_ID_MAX_BYTES: usize = 128;
const PROPERTIES_MAX: usize = 16;

/// Name and value of a property.
type Property = (Box<str>, Box<str>);

impl Validator {
    /// Returns the context of an event; none if all of it is empty.
    pub(super) fn context(
        &self,
        query: String,
        session_id: String,
        anonymous_id: String,
        properties: HashMap<String, String>,
        losses: &mut Losses,
    ) -> Option<Box<EventContext>> {
        let context = EventContext {
            query: search_words(query, losses),
            session_id: sender_id(session_id, LossyField::SessionId, losses),
            anonymous_id: sender_id(anonymous_id, LossyField::AnonymousId, losses),
            properties: self.properties(properties, losses),
        };
        (context != EventContext::default()).then(|| Box::new(context))
    }

    fn properties(&self, properties: HashMap<String, String>, losses: &mut Losses) -> Vec<Property> {
        let mut kept = Vec::with_capacity(properties.len().min(PROPERTIES_MAX));
        for (name, value) in properties {
            // Before any other check of the value: an address that is cut is still a part of one.
            if name.is_empty() || check_text(&name, NAME_MAX_BYTES).is_err() {
                losses.truncate(LossyField::Properties);
                continue;
            }
            match self.traits.apply_to_property(name, value) {
                Ok(PolicyResult::Kept(property)) => {
                    kept.extend(fitting(property.name, property.value, losses));
                }
                Ok(PolicyResult::Dropped(reason)) => losses.drop_value(reason),
                // The value has not the form that its policy needs, so it may be anything.
                Err(_) => losses.truncate(LossyField::Properties),
            }
        }
        // A map has no order on the wire, and equal events must yield equal records, also if some are left out.
        kept.sort_unstable();
        losses.truncate_many(LossyField::Properties, kept.len().saturating_sub(PROPERTIES_MAX));
        kept.truncate(PROPERTIES_MAX);
        kept
    }
}

/// Returns a property whose value is cut to its limit; none if it has a control character.
fn fitting(name: Box<str>, value: Box<str>, losses: &mut Losses) -> Option<Property> {
    let cut = prefix(&value, VALUE_MAX_BYTES);
    let is_whole = cut.len() == value.len();
    let is_printable = check_text(cut, VALUE_MAX_BYTES).is_ok();
    if !is_whole || !is_printable {
        losses.truncate(LossyField::Properties);
    }
    let value = if is_whole { value } else { cut.into() };
    is_printable.then_some((name, value))
}

/// Returns the words of a search, with spaces for control characters and cut to the limit. Words with an e-mail address, a card or
/// a resident id are dropped; part numbers, which people search for, look like telephone numbers.
fn search_words(query: String, losses: &mut Losses) -> Box<str> {
    if let Some(kind) = kind_of_value(&query).filter(|kind| *kind != PersonalKind::Phone) {
        losses.drop_value(DropReason::Personal(kind));
        return "".into();
    }
    if check_text(&query, QUERY_MAX_BYTES).is_ok() {
        return query.into();
    }
    losses.truncate(LossyField::Query);
    prefix(&query.replace(char::is_control, " "), QUERY_MAX_BYTES).into()
}

/// Returns an id of the sender; empty if it is defective.
fn sender_id(text: String, field: LossyField, losses: &mut Losses) -> Box<str> {
    if check_text(&text, SESSION_ID_MAX_BYTES).is_err() || text.chars().any(is_invisible) {
        losses.truncate(field);
        return "".into();
    }
    text.into()
}

/// Returns the longest prefix of whole characters within `max_bytes`.
fn prefix(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

//! Validation of traits, and the shop's policy on them.

use super::{Validator, text};
use crate::losses::Losses;
use crate::trait_policies::{NAME_MAX_BYTES, PolicyError, PolicyResult, VALUE_MAX_BYTES};
use portrait_profile::{Body, Record, Timestamp, check_text};
use portrait_proto::request::ValidationError;
use portrait_proto::v1::{self, ErrorReason};

const TRAITS_MAX: usize = 32;

impl Validator {
    /// Validates an update of traits that arrives at `now`. An update whose traits are all dropped is still a record: the sender
    /// gets an acceptance, and its id is remembered.
    pub(crate) fn traits(
        &self,
        update: v1::TraitsUpdate,
        now: Timestamp,
        losses: &mut Losses,
    ) -> Result<Record, ValidationError> {
        let user_id = self.ids.user_id("user_id", &update.user_id)?;
        let record_id = self.ids.record_id(&update.event_id)?;
        let source = self.ids.source(&update.source, record_id.as_ref())?;
        let occurred_at = self.occurred_at(update.occurred_at.as_ref(), now)?;
        if update.traits.is_empty() {
            return Err(ValidationError::new(
                ErrorReason::MissingField,
                "traits",
                "is empty: send at least one trait",
            ));
        }
        if update.traits.len() > TRAITS_MAX {
            let message =
                format!("has {} entries, {TRAITS_MAX} are allowed: split the update", update.traits.len());
            return Err(ValidationError::new(ErrorReason::TooMany, "traits", message));
        }
        let mut kept = Vec::with_capacity(update.traits.len());
        for (name, value) in update.traits {
            let field = format!("traits[{name:.64?}]");
            if name.is_empty() {
                return Err(ValidationError::new(ErrorReason::EmptyId, &field, "has no name"));
            }
            let name = text("traits", name, NAME_MAX_BYTES)?;
            let applied = self.traits.apply(name.into(), value);
            let applied =
                applied.map_err(|error| ValidationError::new(reason_of(error), &field, error.to_string()))?;
            match applied {
                // What is stored is checked, not what was sent: an address of several lines is dropped or hashed first.
                PolicyResult::Kept(value) => {
                    check_text(&value.value, VALUE_MAX_BYTES)
                        .map_err(|error| ValidationError::of_text(&field, error))?;
                    kept.push(value);
                }
                PolicyResult::Dropped(reason) => losses.drop_value(reason),
            }
        }
        // A map has no order on the wire, and equal updates must yield equal records.
        kept.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(Record {
            user_id,
            record_id,
            occurred_at,
            accepted_at: now,
            body: Body::Traits(kept),
            trace: None,
            source,
        })
    }
}

const fn reason_of(error: PolicyError) -> ErrorReason {
    match error {
        PolicyError::NotANumber | PolicyError::NotADate => ErrorReason::OutOfRange,
        PolicyError::TooLongToEncrypt { .. } => ErrorReason::TooLong,
        PolicyError::NoKey => ErrorReason::Internal,
    }
}

//! Validation of items from the wire. The result is a record that needs no further lookup but the catalogue's, or a violation
//! with field, problem and remedy. What an item loses is noted in [`Losses`]. `now` is passed in.

mod context;
mod event;
mod ids;
pub(crate) mod item;
mod outcome;
mod relation;
mod traits;

use crate::config::ValidConfig;
use crate::losses::{Losses, LossyField};
use crate::money::Money;
use crate::shop_time::ShopTime;
use crate::strength::Strengths;
use crate::trait_policies::TraitPolicies;
use ids::IdRules;
use portrait_profile::{CustomAction, TimeDelta, Timestamp, check_text};
use portrait_proto::request::ValidationError;
use portrait_proto::time;
use portrait_proto::v1::ErrorReason;
use std::fmt;
use std::ops::RangeInclusive;

/// Highest price of one unit, in any currency. It keeps sums of prices finite.
const PRICE_MAX: f64 = 1e9;
/// Longest category or brand, in bytes: profiles have a bound, and labels are part of them.
const LABEL_MAX_BYTES: usize = 128;
/// Texts that tools write for a missing category or brand. In exactly these spellings, since NAN is a brand.
const MISSING_LABELS: [&str; 13] = [
    "NA",
    "N/A",
    "n/a",
    "NaN",
    "nan",
    "null",
    "NULL",
    "Null",
    "None",
    "none",
    "NONE",
    "undefined",
    "Undefined",
];

/// Validator with the rules of a shop. They are constant while the process runs, but for the keys of its policies.
pub(crate) struct Validator {
    future_skew_max: TimeDelta,
    occurred_at_min: Timestamp,
    shop_time: ShopTime,
    money: Money,
    custom_actions: Vec<CustomAction>,
    strengths: Strengths,
    /// Rules of ids.
    pub(crate) ids: IdRules,
    traits: TraitPolicies,
}

impl Validator {
    /// Creates the validator of a configuration with its policies.
    pub(crate) fn new(config: &ValidConfig, traits: TraitPolicies) -> Self {
        Self {
            ids: IdRules { trim: config.trim_ids },
            future_skew_max: config.future_skew_max,
            occurred_at_min: config.occurred_at_min,
            shop_time: config.shop_time.clone(),
            money: config.money.clone(),
            custom_actions: config.custom_actions.clone(),
            strengths: config.strengths.clone(),
            traits,
        }
    }

    fn occurred_at(
        &self,
        at: Option<&prost_types::Timestamp>,
        now: Timestamp,
    ) -> Result<Timestamp, ValidationError> {
        const FIELD: &str = "occurred_at";
        let at = at.ok_or_else(|| {
            ValidationError::new(ErrorReason::MissingField, FIELD, "is missing: send when it happened")
        })?;
        let at = time::from_wire(at).map_err(|error| {
            ValidationError::new(ErrorReason::BadTime, FIELD, format!("is no valid time: {error}"))
        })?;
        // Without an upper bound one wrong date would move the event clock, and with it the decay of every profile.
        if at > now.plus(self.future_skew_max) {
            let message = format!(
                "lies {:.0} s ahead of the server's clock, {:.0} s are allowed: check the sender's clock and unit",
                at.since(now).as_secs_f64(),
                self.future_skew_max.as_secs_f64()
            );
            return Err(ValidationError::new(ErrorReason::TimeInFuture, FIELD, message));
        }
        if at < self.occurred_at_min {
            let message = format!(
                "lies {:.0} days before ingest.occurred_at_min: check the unit, or set an older limit",
                self.occurred_at_min.since(at).as_days_f64()
            );
            return Err(ValidationError::new(ErrorReason::TimeTooOld, FIELD, message));
        }
        Ok(at)
    }

    /// Converts a price to the base currency.
    fn price(&self, price: Option<f64>, currency: &str) -> Result<Option<f64>, ValidationError> {
        let Some(price) = price else { return Ok(None) };
        let price = number("price", price, 0.0..=PRICE_MAX)?;
        let in_base = self.money.in_base(price, currency).ok_or_else(|| {
            ValidationError::new(ErrorReason::UnknownCurrency, "currency", self.money.hint(currency))
        })?;
        // Both amounts are checked: a rate can move a valid price out of the range.
        number("price", in_base, 0.0..=PRICE_MAX).map(Some)
    }
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validator").finish_non_exhaustive()
    }
}

/// Checks a text that may be empty.
fn text(field: &str, text: String, max_bytes: usize) -> Result<Box<str>, ValidationError> {
    check_text(&text, max_bytes).map_err(|error| ValidationError::of_text(field, error))?;
    Ok(text.into())
}

/// Returns a category or brand; none if it is empty or a text for a missing one. A defective one is left out and noted, so that
/// the event is not lost with it.
fn label(field: LossyField, name: String, losses: &mut Losses) -> Option<Box<str>> {
    let name = known_label(name);
    if check_text(&name, LABEL_MAX_BYTES).is_err() {
        losses.truncate(field);
        return None;
    }
    (!name.is_empty()).then(|| name.into())
}

/// Returns a category or brand, empty if it is a text for a missing one.
fn known_label(name: String) -> String {
    if MISSING_LABELS.contains(&name.trim()) { String::new() } else { name }
}

/// Checks that a number is finite and within `range`.
fn number(field: &str, value: f64, range: RangeInclusive<f64>) -> Result<f64, ValidationError> {
    if !value.is_finite() {
        return Err(ValidationError::new(
            ErrorReason::NotFinite,
            field,
            format!("is {value}: send a finite number"),
        ));
    }
    if !range.contains(&value) {
        let message = format!("is {value}: send a number from {} to {}", range.start(), range.end());
        return Err(ValidationError::new(ErrorReason::OutOfRange, field, message));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;

//! Validation of items from the wire. The result is a record that needs no further lookup but the catalogue's, or a violation
//! with field, problem and remedy. Pure: `now` is passed in, and no state is kept.

mod event;
pub(crate) mod item;
mod outcome;
mod relation;
mod traits;

use crate::config::ValidConfig;
use crate::money::Money;
use crate::policy::TraitPolicies;
use crate::shop_time::ShopTime;
use crate::strength::Strengths;
use portrait_profile::{CustomAction, RecordId, TextError, TimeDelta, Timestamp, check_text};
use portrait_proto::request::ValidationError;
use portrait_proto::time;
use portrait_proto::v1::ErrorReason;
use std::ops::RangeInclusive;

/// Highest price of one unit, in any currency. It keeps sums of prices finite.
const PRICE_MAX: f64 = 1e9;
/// Longest category or brand, in bytes: profiles have a bound, and labels are part of them.
const LABEL_MAX_BYTES: usize = 128;

/// Validator with the rules of a shop, constant while the process runs.
#[derive(Clone, Debug)]
pub(crate) struct Validator {
    future_skew_max: TimeDelta,
    occurred_at_min: Timestamp,
    shop_time: ShopTime,
    money: Money,
    custom_actions: Vec<CustomAction>,
    strengths: Strengths,
    traits: TraitPolicies,
}

impl Validator {
    /// Creates the validator of a configuration.
    pub(crate) fn new(config: &ValidConfig) -> Self {
        Self {
            future_skew_max: config.future_skew_max,
            occurred_at_min: config.occurred_at_min,
            shop_time: config.shop_time.clone(),
            money: config.money.clone(),
            custom_actions: config.custom_actions.clone(),
            strengths: config.strengths.clone(),
            traits: config.traits.clone(),
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

/// Parses the id of an event; none if it is empty, and then a retry counts twice.
pub(crate) fn record_id(text: &str) -> Result<Option<RecordId>, ValidationError> {
    optional("event_id", text, RecordId::parse)
}

/// Parses an id that may be empty.
fn optional<T>(
    field: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, TextError>,
) -> Result<Option<T>, ValidationError> {
    if text.is_empty() {
        return Ok(None);
    }
    parse(text).map(Some).map_err(|error| ValidationError::of_text(field, error))
}

/// Checks a text that may be empty.
fn text(field: &str, text: String, max_bytes: usize) -> Result<Box<str>, ValidationError> {
    check_text(&text, max_bytes).map_err(|error| ValidationError::of_text(field, error))?;
    Ok(text.into())
}

/// Checks a category or brand; none if it is empty.
fn label(field: &str, name: String) -> Result<Option<Box<str>>, ValidationError> {
    text(field, name, LABEL_MAX_BYTES).map(|name| Some(name).filter(|name| !name.is_empty()))
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

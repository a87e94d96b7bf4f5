//! What may enter. In comes an item as it was sent and the moment it arrived; out goes a record that needs nothing more, or
//! a refusal that names the field, the fault and the remedy. Nothing is looked up and nothing is kept.

mod event;
pub(crate) mod item;
mod outcome;
mod relation;
mod traits;

use crate::config::ValidConfig;
use crate::money::Money;
use crate::policy::Traits;
use crate::shop_time::ShopTime;
use portrait_profile::{CustomAction, RecordId, Span, TextFault, Timestamp, check_text};
use portrait_proto::request::Refusal;
use portrait_proto::time;
use portrait_proto::v1::ErrorReason;
use std::ops::RangeInclusive;

/// The highest price of one unit, in any currency.
const PRICE_MAX: f64 = 1e9;
/// The longest category or brand, in bytes.
const LABEL_MAX_BYTES: usize = 128;

/// The rules of a shop. They never change while the process runs.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    future_max: Span,
    oldest: Timestamp,
    shop_time: ShopTime,
    money: Money,
    custom_actions: Vec<CustomAction>,
    traits: Traits,
}

impl Rules {
    /// The rules that a configuration gives.
    pub(crate) fn of(config: &ValidConfig) -> Self {
        Self {
            future_max: config.future_max,
            oldest: config.oldest,
            shop_time: config.shop_time.clone(),
            money: config.money.clone(),
            custom_actions: config.custom_actions.clone(),
            traits: config.traits.clone(),
        }
    }

    fn occurred_at(&self, at: Option<&prost_types::Timestamp>, now: Timestamp) -> Result<Timestamp, Refusal> {
        const FIELD: &str = "occurred_at";
        let at = at.ok_or_else(|| {
            Refusal::new(ErrorReason::MissingField, FIELD, "is missing: send when it happened")
        })?;
        let at = time::from_wire(at)
            .map_err(|fault| Refusal::new(ErrorReason::BadTime, FIELD, format!("is no moment: {fault}")))?;
        if at > now.plus(self.future_max) {
            let message = format!(
                "lies {:.0} s ahead of the server's clock, {:.0} s are allowed: check the sender's clock and unit",
                at.since(now).as_secs_f64(),
                self.future_max.as_secs_f64()
            );
            return Err(Refusal::new(ErrorReason::TimeInFuture, FIELD, message));
        }
        if at < self.oldest {
            let message = format!(
                "lies {:.0} days before ingest.oldest: check the unit, or set an older limit",
                self.oldest.since(at).as_days_f64()
            );
            return Err(Refusal::new(ErrorReason::TimeTooOld, FIELD, message));
        }
        Ok(at)
    }

    /// A price in the base currency.
    fn price(&self, price: Option<f64>, currency: &str) -> Result<Option<f64>, Refusal> {
        let Some(price) = price else { return Ok(None) };
        let price = number("price", price, 0.0..=PRICE_MAX)?;
        let in_base = self.money.in_base(price, currency).ok_or_else(|| {
            Refusal::new(ErrorReason::UnknownCurrency, "currency", self.money.remedy(currency))
        })?;
        number("price", in_base, 0.0..=PRICE_MAX).map(Some)
    }
}

pub(crate) fn record_id(text: &str) -> Result<Option<RecordId>, Refusal> {
    optional("event_id", text, RecordId::parse)
}

/// An id that may be left out.
fn optional<T>(
    field: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, TextFault>,
) -> Result<Option<T>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    parse(text).map(Some).map_err(|fault| Refusal::of_text(field, fault))
}

/// A text that may be empty.
fn text(field: &str, text: String, max_bytes: usize) -> Result<Box<str>, Refusal> {
    check_text(&text, max_bytes).map_err(|fault| Refusal::of_text(field, fault))?;
    Ok(text.into())
}

/// A category or brand; none if it is empty.
fn label(field: &str, name: String) -> Result<Option<Box<str>>, Refusal> {
    text(field, name, LABEL_MAX_BYTES).map(|name| Some(name).filter(|name| !name.is_empty()))
}

fn number(field: &str, value: f64, range: RangeInclusive<f64>) -> Result<f64, Refusal> {
    if !value.is_finite() {
        return Err(Refusal::new(ErrorReason::NotFinite, field, format!("is {value}: send a finite number")));
    }
    if !range.contains(&value) {
        let message = format!("is {value}: send a number from {} to {}", range.start(), range.end());
        return Err(Refusal::new(ErrorReason::OutOfRange, field, message));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;

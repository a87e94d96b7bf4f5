//! Values of fields in JSON, as tools write them: numbers for ids, texts for numbers, words for what is missing.

use super::super::super::cell::{excerpt, is_missing, letters, without_zero_fraction};
use super::super::super::moment;
use super::super::super::row::RowReason;
use portrait_profile::ActionKind;
use portrait_proto::action::kind_to_wire;
use portrait_proto::v1::Action;
use prost_types::Timestamp;
use serde_json::{Number, Value};
use std::collections::HashMap;

/// Largest whole number that a float holds exactly; beyond it, the digits of an id are lost.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Defect of a field, before its position is known.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) field: String,
    pub(super) reason: RowReason,
    /// Problem as a predicate.
    pub(super) problem: String,
}

/// Returns the defect of a field that is required.
pub(super) fn missing(field: &str, reason: RowReason) -> Problem {
    Problem { field: field.to_owned(), reason, problem: "is missing".to_owned() }
}

fn invalid(field: &str, reason: RowReason, value: &Value, expected: &str) -> Problem {
    let problem = format!("{} is not {expected}", excerpt(&value.to_string()));
    Problem { field: field.to_owned(), reason, problem }
}

/// Refuses a field that is given a second time, be it under another name.
pub(super) fn flag_twice(seen: &[(&'static str, String)], field: &str, name: &str) -> Result<(), Problem> {
    match seen.iter().find(|(known, _)| *known == field) {
        Some((_, first)) => {
            let problem = format!("is given twice, before as {first:?}");
            Err(Problem { field: name.to_owned(), reason: RowReason::ConflictingFields, problem })
        }
        None => Ok(()),
    }
}

/// Parses an id from a text or a whole number; empty if it is missing.
pub(super) fn id(field: &str, value: &Value) -> Result<String, Problem> {
    let expected = "an id: send a text or a whole number";
    match value {
        Value::Number(number) => {
            whole(number).ok_or_else(|| invalid(field, RowReason::BadText, value, expected))
        }
        Value::String(text) if is_missing(text) => Ok(String::new()),
        Value::String(text) => Ok(without_zero_fraction(text).to_owned()),
        _ => Err(invalid(field, RowReason::BadText, value, expected)),
    }
}

/// Parses a text; empty if it is missing. Categories are numbers in some logs.
pub(super) fn text(field: &str, value: &Value) -> Result<String, Problem> {
    match value {
        // A search for "none" is one: only names and codes have words for what is missing.
        Value::String(text) if field != "query" && is_missing(text) => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(whole(number).unwrap_or_else(|| number.to_string())),
        _ => Err(invalid(field, RowReason::BadText, value, "a text")),
    }
}

/// Parses an optional number, which may be written as a text.
pub(super) fn number(field: &str, value: &Value) -> Result<Option<f64>, Problem> {
    let parsed = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) if is_missing(text) => return Ok(None),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    if parsed.is_some_and(f64::is_nan) {
        return Ok(None);
    }
    parsed.map(Some).ok_or_else(|| invalid(field, RowReason::BadNumber, value, "a number"))
}

/// Parses the number of a line in its order.
pub(super) fn order_line(field: &str, value: &Value) -> Result<u32, Problem> {
    let digits = match value {
        Value::Number(number) => whole(number),
        Value::String(text) if is_missing(text) => return Ok(0),
        Value::String(text) => Some(without_zero_fraction(text.trim()).to_owned()),
        _ => None,
    };
    let expected = format!("a whole number from 0 to {}", u32::MAX);
    let parsed = digits.and_then(|digits| digits.parse().ok());
    parsed.ok_or_else(|| invalid(field, RowReason::BadNumber, value, &expected))
}

/// Parses a time: a text with a date, or a number since 1970 as a number or a text.
pub(super) fn time(field: &str, value: &Value) -> Result<Option<Timestamp>, Problem> {
    let at = match value {
        Value::Number(number) => moment::since_epoch(&decimal(number)),
        Value::String(text) if is_missing(text) => return Ok(None),
        Value::String(text) => moment::since_epoch(text).or_else(|| moment::date_time(text)),
        _ => None,
    };
    let expected =
        "a time: send 2024-01-01T00:00:00Z, or the seconds, milli- or microseconds since 1970 as a number";
    at.map(Some).ok_or_else(|| invalid(field, RowReason::BadTime, value, expected))
}

/// Parses an action: `view`, `add_to_cart`, `addToCart`, `ACTION_VIEW`, or its number in the API; 0 if it is missing.
pub(super) fn action(field: &str, value: &Value) -> Result<i32, Problem> {
    let found = match value {
        Value::Number(number) => number
            .as_i64()
            .and_then(|number| Action::try_from(i32::try_from(number).ok()?).ok())
            .filter(|action| *action != Action::Unspecified),
        Value::String(text) if is_missing(text) => return Ok(0),
        Value::String(text) => {
            let name = letters(text);
            let name = name.strip_prefix("action").unwrap_or(&name);
            ActionKind::ALL.into_iter().find(|kind| letters(kind.name()) == name).map(kind_to_wire)
        }
        _ => None,
    };
    found.map(Into::into).ok_or_else(|| {
        let known: Vec<&str> = ActionKind::ALL.into_iter().map(ActionKind::name).collect();
        invalid(field, RowReason::UnknownAction, value, &format!("one of {}", known.join(", ")))
    })
}

/// Parses properties; numbers and truth values become texts.
pub(super) fn properties(field: &str, value: &Value) -> Result<HashMap<String, String>, Problem> {
    let Value::Object(map) = value else {
        return Err(invalid(field, RowReason::BadText, value, "an object of texts"));
    };
    let texts = map.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        Value::Number(_) | Value::Bool(_) => Ok((name.clone(), value.to_string())),
        _ => {
            let expected = format!("a text, which the property {name:?} needs");
            Err(invalid(field, RowReason::BadText, value, &expected))
        }
    });
    texts.collect()
}

/// Returns the digits of a whole number, be it written with a fraction of zeros.
pub(super) fn whole(number: &Number) -> Option<String> {
    if number.is_i64() || number.is_u64() {
        return Some(number.to_string());
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < EXACT_MAX)?;
    Some(format!("{float:.0}"))
}

/// Returns a number in digits, without an exponent.
pub(super) fn decimal(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => format!("{float}"),
        _ => number.to_string(),
    }
}

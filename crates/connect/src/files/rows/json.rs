//! Objects of JSON with the field names of the API's `Event`, in snake_case or camelCase: `{"user_id": "u1", "action": "view",
//! "occurred_at": "2024-01-01T00:00:00Z"}`. Unknown fields are refused, so that a misspelt one is not ignored.

mod objects;
mod parse;
mod value;

pub(in crate::files) use objects::{ObjectRow, objects};

use super::super::cell::letters;
use super::super::objects::ObjectText;
use super::super::row::{RowDefect, RowReason};
use parse::{parse, syntax};
use portrait_proto::v1::Event;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use value::{Problem, action, flag_twice, id, missing, number, order_line, properties, text, time};

/// Fields of an object in the order of the text; a map would lose those that are given twice.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the fields of an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// Parses one object as an event.
pub(in crate::files) fn json(object: &ObjectText) -> Result<Event, RowDefect> {
    let text = std::str::from_utf8(&object.bytes).map_err(|error| {
        let column = object.column + error.valid_up_to() + 1;
        let problem = "is not UTF-8".to_owned();
        RowDefect { column: Some(column), name: Cow::Borrowed("JSON"), reason: RowReason::BadText, problem }
    })?;
    let fields: Fields = parse(text).map_err(|error| syntax(object, &error))?;
    event(fields).map_err(|problem| {
        // A name that needs escapes is not found, and then the row as a whole is named.
        let column = text.find(&format!("\"{}\"", problem.field)).map(|at| object.column + at + 1);
        let name = Cow::Owned(problem.field);
        RowDefect {
            column: column.or(Some(object.column + 1)),
            name,
            reason: problem.reason,
            problem: problem.problem,
        }
    })
}

fn event(fields: Fields) -> Result<Event, Problem> {
    let mut event = Event::default();
    let mut seen: Vec<(&'static str, String)> = Vec::new();
    for (name, value) in fields.0 {
        let Some(field) = known(&name) else {
            let problem = "is no field of an event: check its spelling, or leave it out".to_owned();
            return Err(Problem { field: name, reason: RowReason::UnknownField, problem });
        };
        // Null stands for nothing, as in the JSON form of the API.
        if value.is_null() {
            continue;
        }
        flag_twice(&seen, field, &name)?;
        set(&mut event, field, &name, &value)?;
        seen.push((field, name));
    }
    if event.user_id.is_empty() {
        return Err(missing("user_id", RowReason::EmptyId));
    }
    if event.action == 0 {
        return Err(missing("action", RowReason::MissingField));
    }
    if event.occurred_at.is_none() {
        return Err(missing("occurred_at", RowReason::MissingField));
    }
    Ok(event)
}

/// Returns the field of a name in any case, with or without underscores between its words.
fn known(name: &str) -> Option<&'static str> {
    const FIELDS: [&str; 17] = [
        "event_id",
        "user_id",
        "action",
        "custom_action",
        "occurred_at",
        "item_id",
        "category",
        "brand",
        "price",
        "currency",
        "quantity",
        "order_id",
        "order_line",
        "query",
        "session_id",
        "anonymous_id",
        "properties",
    ];
    let name = letters(name);
    match name.as_str() {
        "timestamp" | "time" => Some("occurred_at"),
        name => FIELDS.into_iter().find(|field| letters(field) == name),
    }
}

fn set(event: &mut Event, field: &str, name: &str, value: &Value) -> Result<(), Problem> {
    match field {
        "event_id" => event.event_id = id(name, value)?,
        "user_id" => event.user_id = id(name, value)?,
        "action" => event.action = action(name, value)?,
        "custom_action" => event.custom_action = text(name, value)?,
        "occurred_at" => event.occurred_at = time(name, value)?,
        "item_id" => event.item_id = id(name, value)?,
        "category" => event.category = text(name, value)?,
        "brand" => event.brand = text(name, value)?,
        "price" => event.price = number(name, value)?,
        "currency" => event.currency = text(name, value)?,
        "quantity" => event.quantity = number(name, value)?,
        "order_id" => event.order_id = id(name, value)?,
        "order_line" => event.order_line = order_line(name, value)?,
        "query" => event.query = text(name, value)?,
        "session_id" => event.session_id = id(name, value)?,
        "anonymous_id" => event.anonymous_id = id(name, value)?,
        _ => event.properties = properties(name, value)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests;

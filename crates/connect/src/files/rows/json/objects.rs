//! Objects of JSON whose names a mapping has: the values that it uses become the fields of a row.

use super::super::super::cell::letters;
use super::super::super::objects::ObjectText;
use super::super::super::record::CsvRecord;
use super::super::super::row::{RowDefect, RowReason};
use super::parse::{parse, syntax};
use super::value::{decimal, whole};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Row of an object.
pub(in crate::files) struct ObjectRow {
    /// Values by the names of the mapping.
    pub(in crate::files) record: CsvRecord,
    /// Text of the object, or of the entry of its list.
    pub(in crate::files) raw: Vec<u8>,
}

/// Returns the rows of an object: itself, or the entries of its list `each`, which see the other fields of the object too.
pub(in crate::files) fn objects(
    object: &ObjectText,
    names: &[String],
    each: Option<&str>,
) -> Result<Vec<Result<ObjectRow, RowDefect>>, RowDefect> {
    let text = std::str::from_utf8(&object.bytes)
        .map_err(|_| defect("JSON", RowReason::BadText, "is not UTF-8".to_owned()))?;
    let outer: Map<String, Value> = parse(text).map_err(|error| syntax(object, &error))?;
    let Some(each) = each else {
        let raw = object.bytes.clone();
        return Ok(vec![record(&[&outer], names).map(|record| ObjectRow { record, raw })]);
    };
    let Some(Value::Array(entries)) = outer.get(each) else {
        return Err(defect(each, RowReason::MissingField, "is no list of rows".to_owned()));
    };
    let rows = entries.iter().map(|entry| {
        let Value::Object(inner) = entry else {
            return Err(defect(each, RowReason::BadJson, "has an entry that is no object".to_owned()));
        };
        let raw = entry.to_string().into_bytes();
        record(&[inner, &outer], names).map(|record| ObjectRow { record, raw })
    });
    Ok(rows.collect())
}

/// Puts the values of the names into one record; the first object that has a name counts.
fn record(objects: &[&Map<String, Value>], names: &[String]) -> Result<CsvRecord, RowDefect> {
    let mut record = CsvRecord::default();
    for name in names {
        match objects.iter().find_map(|object| find(object, name)) {
            None => record.push(b""),
            Some(value) => record.push(cell(name, value)?.as_bytes()),
        }
    }
    Ok(record)
}

/// Finds a value by its name, by a path with dots, or by its name without case, spaces and underscores.
fn find<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(name) {
        return Some(value);
    }
    if let Some((first, rest)) = name.split_once('.')
        && let Some(Value::Object(inner)) = object.get(first)
    {
        return find(inner, rest);
    }
    let key = letters(name);
    object.iter().find(|(known, _)| letters(known) == key).map(|(_, value)| value)
}

/// Returns a value as the text of a cell; empty for null.
fn cell<'a>(name: &str, value: &'a Value) -> Result<Cow<'a, str>, RowDefect> {
    match value {
        Value::Null => Ok(Cow::Borrowed("")),
        Value::String(text) => Ok(Cow::Borrowed(text)),
        Value::Number(number)
            if number.is_f64() && number.as_f64().is_some_and(|float| float.fract() == 0.0) =>
        {
            let problem = format!("{number} has more digits than a number can hold: send a text");
            whole(number).map(Cow::Owned).ok_or_else(|| defect(name, RowReason::BadNumber, problem))
        }
        Value::Number(number) => Ok(Cow::Owned(decimal(number))),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Ok(Cow::Owned(value.to_string())),
    }
}

fn defect(name: &str, reason: RowReason, problem: String) -> RowDefect {
    RowDefect { column: Some(1), name: Cow::Owned(name.to_owned()), reason, problem }
}

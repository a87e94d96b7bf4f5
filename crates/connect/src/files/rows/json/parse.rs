//! Parsing of objects of JSON, with NaN as Python writes it, and defects with the column of the file.

use super::super::super::objects::ObjectText;
use super::super::super::row::{RowDefect, RowReason};
use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// Parses a text.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| {
        // Python writes a missing number as NaN, which is not JSON.
        match without_nan(text) {
            Some(text) => serde_json::from_str(&text),
            None => Err(error),
        }
    })
}

/// Replaces the word NaN outside of strings by null; none if there is none.
fn without_nan(text: &str) -> Option<String> {
    let mut replaced = String::with_capacity(text.len() + 8);
    let mut rest = text;
    let mut is_found = false;
    while let Some(at) = rest.find(['"', 'N']) {
        replaced.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = if rest.starts_with('"') {
            let string = string_length(rest);
            replaced.push_str(&rest[..string]);
            string
        } else if rest.starts_with("NaN") {
            is_found = true;
            replaced.push_str("null");
            "NaN".len()
        } else {
            replaced.push('N');
            1
        };
        rest = &rest[length..];
    }
    replaced.push_str(rest);
    is_found.then_some(replaced)
}

/// Returns the length of the string literal that `text` begins with, or all of a literal without an end.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().enumerate().skip(1).find(|(_, byte)| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |(index, _)| index + 1)
}

/// Returns the defect of an object that is no JSON.
pub(super) fn syntax(object: &ObjectText, error: &serde_json::Error) -> RowDefect {
    let text = error.to_string();
    // The parser counts lines within the object, which would mislead beside the line of the file.
    let mut problem = text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem).to_owned();
    let column = if error.line() <= 1 {
        object.column + error.column().max(1)
    } else {
        problem = format!("{problem}, in line {}", object.line + error.line() as u64 - 1);
        error.column().max(1)
    };
    RowDefect { column: Some(column), name: Cow::Borrowed("JSON"), reason: RowReason::BadJson, problem }
}

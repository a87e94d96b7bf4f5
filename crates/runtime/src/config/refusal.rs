//! Why a configuration was refused, in words: which key, who set it and what to do. In comes the library's error and the
//! sources that were read, out goes an error that a person can act on.

use super::error::ConfigError;
use super::layer::Layer;
use figment::error::Kind;
use figment::value::{Dict, Value};
use serde::Serialize;

/// What every remedy ends with.
const EVERY_KEY: &str = "`portrait serve --dump-config` shows every key";

/// Turns the library's error into ours. `layers` are the sources, the strongest last; `defaults` have every key.
pub(super) fn refused(error: &figment::Error, layers: &[Layer], defaults: &impl Serialize) -> ConfigError {
    let mut path = error.path.clone();
    let Kind::UnknownField(field, siblings) = &error.kind else {
        let key = path.join(".");
        return ConfigError::Value { place: set_by(&path, layers), key, problem: error.kind.to_string() };
    };
    if path.last() != Some(field) {
        path.push(field.clone());
    }
    let defaults = Value::serialize(defaults).ok().and_then(Value::into_dict).unwrap_or_default();
    unknown(&path, siblings, layers, &defaults)
}

/// A key that nobody knows.
pub(super) fn unknown(
    path: &[String],
    siblings: &[&'static str],
    layers: &[Layer],
    defaults: &Dict,
) -> ConfigError {
    let remedy = match near(path, siblings, defaults) {
        Some(known) => format!("did you mean {known}? {EVERY_KEY}"),
        None => EVERY_KEY.to_owned(),
    };
    ConfigError::UnknownKey { key: path.join("."), place: set_by(path, layers), remedy }
}

/// The strongest source that has the key.
fn set_by(path: &[String], layers: &[Layer]) -> String {
    let found = layers.iter().rev().find(|layer| has(&layer.values, path));
    found.map_or_else(|| "the default".to_owned(), |layer| layer.place.clone())
}

fn has(values: &Dict, path: &[String]) -> bool {
    match path {
        [] => true,
        [last] => values.contains_key(last),
        [first, rest @ ..] => {
            values.get(first).and_then(Value::as_dict).is_some_and(|inner| has(inner, rest))
        }
    }
}

/// The known key that was probably meant: one beside it that is spelt almost so, or one of the same name elsewhere.
fn near(path: &[String], siblings: &[&'static str], defaults: &Dict) -> Option<String> {
    let (last, parents) = path.split_last()?;
    let beside = siblings.iter().map(|name| (edits(last, name), *name)).min();
    if let Some((distance, name)) = beside
        && distance <= name.len().div_ceil(3)
    {
        let whole = parents.iter().map(String::as_str).chain([name]);
        return Some(whole.collect::<Vec<_>>().join("."));
    }
    let mut elsewhere = Vec::new();
    keys_named(last, defaults, &mut Vec::new(), &mut elsewhere);
    elsewhere.into_iter().next()
}

fn keys_named<'a>(name: &str, values: &'a Dict, parents: &mut Vec<&'a str>, found: &mut Vec<String>) {
    for (key, value) in values {
        parents.push(key);
        if key == name {
            found.push(parents.join("."));
        }
        if let Value::Dict(_, inner) = value {
            keys_named(name, inner, parents, found);
        }
        parents.pop();
    }
}

/// How many characters must be added, removed or replaced to make one of the other.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, from) in left.chars().enumerate() {
        let mut diagonal = above[0];
        above[0] = row + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = above[column + 1];
            above[column + 1] = replaced.min(diagonal + 1).min(above[column] + 1);
        }
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        let rows = [("", "", 0), ("listen", "listen", 0), ("lisen", "listen", 1), ("abc", "", 3)];
        for (left, right, distance) in rows {
            assert_eq!(edits(left, right), distance, "{left} {right}");
            assert_eq!(edits(right, left), distance, "{right} {left}");
        }
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}

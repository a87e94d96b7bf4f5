//! Diagnosis of a configuration that `figment` refused: finds the key, the source that set it, and a similar known key.

use super::error::ConfigError;
use super::layer::ConfigLayer;
use figment::error::Kind;
use figment::value::{Dict, Value};
use serde::Serialize;

/// Hint at the end of each remedy.
const DUMP_CONFIG_HINT: &str = "`portrait serve --dump-config` shows every key";

/// Converts an error of `figment`. `layers` are the sources, the strongest last; `defaults` have every key.
pub(super) fn describe_error(
    error: &figment::Error,
    layers: &[ConfigLayer],
    defaults: &impl Serialize,
) -> ConfigError {
    let mut path = error.path.clone();
    let Kind::UnknownField(field, siblings) = &error.kind else {
        let key = path.join(".");
        return ConfigError::Value { origin: set_by(&path, layers), key, problem: error.kind.to_string() };
    };
    // Some errors of `figment` have the field in their path already.
    if path.last() != Some(field) {
        path.push(field.clone());
    }
    let defaults = Value::serialize(defaults).ok().and_then(Value::into_dict).unwrap_or_default();
    unknown(&path, siblings, layers, &defaults)
}

/// Returns every key of a configuration, such as `server.listen`.
pub(super) fn keys(defaults: &impl Serialize) -> Vec<String> {
    let defaults = Value::serialize(defaults).ok().and_then(Value::into_dict).unwrap_or_default();
    let mut keys = Vec::new();
    leaves(&defaults, &mut Vec::new(), &mut keys);
    keys
}

fn leaves<'a>(values: &'a Dict, parents: &mut Vec<&'a str>, keys: &mut Vec<String>) {
    for (key, value) in values {
        parents.push(key);
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => leaves(inner, parents, keys),
            _ => keys.push(parents.join(".")),
        }
        parents.pop();
    }
}

/// Returns the error for an unknown key, with a similar known key if there is one.
pub(super) fn unknown(
    path: &[String],
    siblings: &[&'static str],
    layers: &[ConfigLayer],
    defaults: &Dict,
) -> ConfigError {
    let remedy = match similar_key(path, siblings, defaults) {
        Some(known) => format!("did you mean {known}? {DUMP_CONFIG_HINT}"),
        None => DUMP_CONFIG_HINT.to_owned(),
    };
    ConfigError::UnknownKey { key: path.join("."), origin: set_by(path, layers), remedy }
}

/// Returns the origin of the strongest source that sets the key.
fn set_by(path: &[String], layers: &[ConfigLayer]) -> String {
    let layer = layers.iter().rev().find(|layer| has(&layer.values, path));
    layer.map_or_else(|| "the default".to_owned(), |layer| layer.origin.clone())
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

/// Returns the most similar known key: a sibling within a third of its length in edit_distance, or a key of the same name in another
/// section.
fn similar_key(path: &[String], siblings: &[&'static str], defaults: &Dict) -> Option<String> {
    let (last, parents) = path.split_last()?;
    let nearest_sibling = siblings.iter().map(|name| (edit_distance(last, name), *name)).min();
    if let Some((distance, name)) = nearest_sibling
        && distance <= name.len().div_ceil(3)
    {
        let path = parents.iter().map(String::as_str).chain([name]);
        return Some(path.collect::<Vec<_>>().join("."));
    }
    // No misspelling: the key may stand in the wrong section.
    let mut elsewhere = Vec::new();
    keys_named(last, defaults, &mut Vec::new(), &mut elsewhere);
    elsewhere.into_iter().next()
}

fn keys_named<'a>(name: &str, values: &'a Dict, parents: &mut Vec<&'a str>, matches: &mut Vec<String>) {
    for (key, value) in values {
        parents.push(key);
        if key == name {
            matches.push(parents.join("."));
        }
        if let Value::Dict(_, inner) = value {
            keys_named(name, inner, parents, matches);
        }
        parents.pop();
    }
}

/// Levenshtein distance between two texts, in characters.
pub(super) fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    // One row of the dynamic programming table is enough: each cell needs only its left, upper and diagonal neighbour.
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
    fn edit_distance_is_symmetric_and_exact() {
        let rows = [("", "", 0), ("listen", "listen", 0), ("lisen", "listen", 1), ("abc", "", 3)];
        for (left, right, distance) in rows {
            assert_eq!(edit_distance(left, right), distance, "{left} {right}");
            assert_eq!(edit_distance(right, left), distance, "{right} {left}");
        }
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }
}

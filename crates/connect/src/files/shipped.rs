//! Formats that ship: mappings of published data sets, compiled in.

use super::bound::BoundMapping;
use super::mapping::{FileKind, Mapping};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use std::sync::{Arc, OnceLock};

/// Includes mappings by name, in the order of the list.
macro_rules! mappings {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../mappings/", $name, ".toml")))),+]
    };
}

const COUNT: usize = 25;

/// Name and text of every mapping that ships.
const SHIPPED: [(&str, &str); COUNT] = mappings![
    "rees46",
    "retailrocket",
    "retailrocket-items",
    "taobao",
    "tianchi",
    "tmall",
    "tmall-ijcai15",
    "tmall-dblab",
    "jdata",
    "otto",
    "otto-jsonl",
    "online-retail",
    "online-retail-ii",
    "complete-journey",
    "complete-journey-products",
    "dunnhumby",
    "dunnhumby-products",
    "hm",
    "instacart",
    "yoochoose-clicks",
    "yoochoose-buys",
    "diginetica-views",
    "diginetica-purchases",
    "eshop",
    "jsonl",
];

/// Mapping that ships, by its name.
///
/// ```
/// use portrait_connect::files::Format;
///
/// let format = Format::named("rees46").expect("it ships");
/// assert_eq!(format.name(), "rees46");
/// assert!(Format::named("rees47").is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Format(usize);

static FORMATS: [Format; COUNT] = {
    let mut formats = [Format(0); COUNT];
    let mut index = 0;
    while index < COUNT {
        formats[index] = Format(index);
        index += 1;
    }
    formats
};

static MAPPINGS: OnceLock<Vec<Option<Arc<Mapping>>>> = OnceLock::new();

impl Format {
    /// Returns the format with this name. Also for constants.
    pub const fn named(name: &str) -> Option<Self> {
        let mut index = 0;
        while index < COUNT {
            if is_equal(SHIPPED[index].0.as_bytes(), name.as_bytes()) {
                return Some(Self(index));
            }
            index += 1;
        }
        None
    }

    /// Returns all formats.
    pub fn all() -> &'static [Self] {
        &FORMATS
    }

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        SHIPPED[self.0].0
    }

    /// Returns the text of the mapping, as TOML.
    pub fn text(self) -> &'static str {
        SHIPPED[self.0].1
    }

    /// Returns the mapping.
    ///
    /// # Panics
    /// Never: a test reads every mapping that ships.
    pub fn mapping(self) -> Arc<Mapping> {
        let parsed = |(_, text): &(&str, &str)| Mapping::parse(text).ok().map(Arc::new);
        let mappings = MAPPINGS.get_or_init(|| SHIPPED.iter().map(parsed).collect());
        mappings[self.0].clone().expect("every mapping that ships is valid")
    }

    /// Returns the format whose columns a header has. Of several the one with most of them.
    pub(super) fn of_header(header: &[String]) -> Option<Self> {
        let fitting = FORMATS.into_iter().filter_map(|format| {
            let mapping = format.mapping();
            // Without names in the file nothing tells a header from a row.
            let has_names = mapping.kind() != Some(FileKind::Jsonl) && mapping.source.columns.is_none();
            if !has_names || mapping.join.is_some() {
                return None;
            }
            let bound = BoundMapping::bind(mapping, header.to_vec(), &[]).ok()?;
            Some((bound.used().len(), format))
        });
        fitting
            .max_by_key(|(columns, format)| (*columns, std::cmp::Reverse(*format)))
            .map(|(_, format)| format)
    }
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &FORMATS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(self.mapping().about().to_owned()))
    }
}

/// Compares texts in constants, where `==` is not available.
const fn is_equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mapping_that_ships_is_valid_and_has_its_name() {
        for (name, text) in SHIPPED {
            let mapping = Mapping::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(mapping.name(), name);
            assert!(!mapping.about().is_empty(), "{name}");
            assert_eq!(Format::named(name).map(Format::name), Some(name));
        }
    }
}

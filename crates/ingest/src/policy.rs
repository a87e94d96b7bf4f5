//! Policies on traits, applied before a trait is written anywhere. Names and contact data are dropped by default: they help no
//! model and harm people in a leak.

use portrait_profile::TraitValue;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Policy on one trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TraitPolicy {
    /// Keeps the value unchanged.
    Keep,
    /// Drops the trait; it is written nowhere.
    Drop,
    /// Keeps the band of a number: 34 with a width of 10 becomes `30-39`.
    Band(u32),
}

/// Error for a text that is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no policy: write keep, drop, or band: and a width above 0, as band:10")]
pub struct InvalidPolicy(String);

/// Error for a value without a band, which must be a whole number from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is kept as a band and must be a whole number from 0")]
pub(crate) struct NotANumber;

/// Policies on all traits of a shop.
#[derive(Clone, Debug)]
pub(crate) struct TraitPolicies {
    named: BTreeMap<String, TraitPolicy>,
    other: TraitPolicy,
}

/// Returns the default policies: names and contact data are dropped, an age is kept as a band.
pub(crate) fn defaults() -> BTreeMap<String, TraitPolicy> {
    // Fields that identify a person, in the spellings that shops commonly send.
    let dropped = [
        "address",
        "birthday",
        "email",
        "first_name",
        "firstname",
        "last_name",
        "lastname",
        "name",
        "phone",
        "street",
        "username",
    ];
    let mut policies: BTreeMap<_, _> = dropped.map(|name| (name.to_owned(), TraitPolicy::Drop)).into();
    // A decade tells a model as much as a year, and identifies fewer people.
    policies.insert("age".to_owned(), TraitPolicy::Band(10));
    policies
}

impl TraitPolicies {
    /// Creates the policies. Names are compared without regard to case.
    pub(crate) fn new(named: &BTreeMap<String, TraitPolicy>, other: TraitPolicy) -> Self {
        Self { named: named.iter().map(|(name, policy)| (name.to_lowercase(), *policy)).collect(), other }
    }

    /// Applies the policy on a trait; `None` if it is dropped.
    ///
    /// # Errors
    /// Fails if a band is required and the value is no whole number.
    pub(crate) fn apply(&self, name: String, value: String) -> Result<Option<TraitValue>, NotANumber> {
        // An empty value removes the trait from the profile. It passes any policy but `drop`, since it reveals nothing.
        let policy = self.named.get(&name.to_lowercase()).copied().unwrap_or(self.other);
        let value = match policy {
            TraitPolicy::Drop => return Ok(None),
            TraitPolicy::Band(width) if !value.is_empty() => band(&value, width).ok_or(NotANumber)?,
            TraitPolicy::Keep | TraitPolicy::Band(_) => value,
        };
        Ok(Some(TraitValue { name: name.into(), value: value.into() }))
    }
}

/// Returns the band of a whole number; `None` for another text or a band beyond `u32`.
fn band(value: &str, width: u32) -> Option<String> {
    let number: u32 = value.trim().parse().ok()?;
    let lower = number - number % width;
    Some(format!("{lower}-{}", lower.checked_add(width - 1)?))
}

impl FromStr for TraitPolicy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        match text {
            "keep" => Ok(Self::Keep),
            "drop" => Ok(Self::Drop),
            _ => {
                let width = text
                    .strip_prefix("band:")
                    .and_then(|width| width.parse().ok())
                    .ok_or_else(|| InvalidPolicy(text.to_owned()))?;
                // A width of 0 has no bands, and would divide by zero.
                if width == 0 { Err(InvalidPolicy(text.to_owned())) } else { Ok(Self::Band(width)) }
            }
        }
    }
}

impl TryFrom<String> for TraitPolicy {
    type Error = InvalidPolicy;

    fn try_from(text: String) -> Result<Self, InvalidPolicy> {
        text.parse()
    }
}

impl From<TraitPolicy> for String {
    fn from(policy: TraitPolicy) -> Self {
        policy.to_string()
    }
}

impl fmt::Display for TraitPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("keep"),
            Self::Drop => f.write_str("drop"),
            Self::Band(width) => write!(f, "band:{width}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trait_is_kept_banded_or_dropped() {
        let traits = TraitPolicies::new(&defaults(), TraitPolicy::Keep);
        let rows = [
            ("gender", "f", Ok(Some("f"))),
            ("Email", "a@b.c", Ok(None)),
            ("age", "34", Ok(Some("30-39"))),
            ("age", "", Ok(Some(""))),
            ("age", "old", Err(NotANumber)),
            ("age", "4294967295", Err(NotANumber)),
        ];
        for (name, value, expected) in rows {
            let applied = traits.apply(name.to_owned(), value.to_owned());
            let applied = applied.map(|kept| kept.map(|kept| kept.value.to_string()));
            assert_eq!(applied, expected.map(|kept| kept.map(str::to_owned)), "{name} {value}");
        }
    }

    #[test]
    fn a_policy_is_written_as_it_is_read() {
        for text in ["keep", "drop", "band:5"] {
            assert_eq!(text.parse::<TraitPolicy>().map(|policy| policy.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "band:0", "band:", "hash"] {
            assert!(text.parse::<TraitPolicy>().is_err(), "{text}");
        }
    }
}

//! What becomes of a trait before it is written anywhere. In come a name and a value, out goes what may be kept. Names and
//! contacts are dropped unless the shop says otherwise: they help no model and harm people when they leak.

use portrait_profile::TraitValue;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What becomes of one trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TraitPolicy {
    /// It is kept as it is.
    Keep,
    /// It is written nowhere.
    Drop,
    /// It is a number, and the band of this width that it lies in is kept: 34 with a width of 10 is `30-39`.
    Band(u32),
}

/// A text that is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no policy: write keep, drop, or band: and a width above 0, as band:10")]
pub struct BadPolicy(String);

/// A value that has no band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is kept as a band and must be a whole number from 0")]
pub(crate) struct NoBand;

/// The policies of all traits.
#[derive(Clone, Debug)]
pub(crate) struct Traits {
    named: BTreeMap<String, TraitPolicy>,
    other: TraitPolicy,
}

/// What nobody should have to ask for.
pub(crate) fn defaults() -> BTreeMap<String, TraitPolicy> {
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
    policies.insert("age".to_owned(), TraitPolicy::Band(10));
    policies
}

impl Traits {
    /// Names are compared without regard to case.
    pub(crate) fn new(named: &BTreeMap<String, TraitPolicy>, other: TraitPolicy) -> Self {
        Self { named: named.iter().map(|(name, policy)| (name.to_lowercase(), *policy)).collect(), other }
    }

    /// What may be kept of a trait. An empty value is a removal and passes whatever the policy.
    pub(crate) fn applied(&self, name: String, value: String) -> Result<Option<TraitValue>, NoBand> {
        let policy = self.named.get(&name.to_lowercase()).copied().unwrap_or(self.other);
        let value = match policy {
            TraitPolicy::Drop => return Ok(None),
            TraitPolicy::Band(width) if !value.is_empty() => band(&value, width).ok_or(NoBand)?,
            TraitPolicy::Keep | TraitPolicy::Band(_) => value,
        };
        Ok(Some(TraitValue { name: name.into(), value: value.into() }))
    }
}

fn band(value: &str, width: u32) -> Option<String> {
    let number: u32 = value.trim().parse().ok()?;
    let lower = number - number % width;
    Some(format!("{lower}-{}", lower.checked_add(width - 1)?))
}

impl FromStr for TraitPolicy {
    type Err = BadPolicy;

    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let bad = || BadPolicy(text.to_owned());
        match text {
            "keep" => Ok(Self::Keep),
            "drop" => Ok(Self::Drop),
            _ => {
                let width =
                    text.strip_prefix("band:").and_then(|width| width.parse().ok()).ok_or_else(bad)?;
                if width == 0 { Err(bad()) } else { Ok(Self::Band(width)) }
            }
        }
    }
}

impl TryFrom<String> for TraitPolicy {
    type Error = BadPolicy;

    fn try_from(text: String) -> Result<Self, BadPolicy> {
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
        let traits = Traits::new(&defaults(), TraitPolicy::Keep);
        let rows = [
            ("gender", "f", Ok(Some("f"))),
            ("Email", "a@b.c", Ok(None)),
            ("age", "34", Ok(Some("30-39"))),
            ("age", "", Ok(Some(""))),
            ("age", "old", Err(NoBand)),
            ("age", "4294967295", Err(NoBand)),
        ];
        for (name, value, expected) in rows {
            let applied = traits.applied(name.to_owned(), value.to_owned());
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

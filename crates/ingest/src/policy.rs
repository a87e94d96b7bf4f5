//! Policies on traits as the configuration writes them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Policy on one trait, applied before the trait is written anywhere.
///
/// ```
/// use portrait_ingest::TraitPolicy;
///
/// assert_eq!("band:10".parse(), Ok(TraitPolicy::Band(10)));
/// assert!("hide".parse::<TraitPolicy>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TraitPolicy {
    /// Keeps the value unchanged.
    Keep,
    /// Drops the trait; it is written nowhere.
    Drop,
    /// Keeps the band of a number: 34 with a width of 10 becomes `30-39`.
    Band(u32),
    /// Keeps the HMAC-SHA-256 under the newest key, as `h1:` and base64: equal values stay equal.
    Hash,
    /// Keeps the AES-256-GCM ciphertext under the newest key, as `e1:` and base64.
    Encrypt,
    /// Keeps the network of an IP address (/24, /48), or the first half of a postcode.
    Truncate,
    /// Keeps the first characters.
    First(usize),
    /// Keeps the year of a date.
    Year,
    /// Keeps both ends, as `138****1234`.
    Mask,
    /// Keeps the class of the value in a table of `ingest.trait_tables`.
    Category(String),
}

/// Error for a text that is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no policy: write keep, drop, hash, encrypt, truncate, year or mask, band: or truncate: and a number above 0, as \
     band:10, or category: and a table of ingest.trait_tables"
)]
pub struct InvalidPolicy(String);

impl FromStr for TraitPolicy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        // A width of 0 has no bands, and would divide by zero.
        let policy = match text.split_once(':') {
            None => match text {
                "keep" => Some(Self::Keep),
                "drop" => Some(Self::Drop),
                "hash" => Some(Self::Hash),
                "encrypt" => Some(Self::Encrypt),
                "truncate" => Some(Self::Truncate),
                "year" => Some(Self::Year),
                "mask" => Some(Self::Mask),
                _ => None,
            },
            Some(("band", width)) => width.parse().ok().filter(|width| *width > 0).map(Self::Band),
            Some(("truncate", count)) => count.parse().ok().filter(|count| *count > 0).map(Self::First),
            Some(("category", table)) if !table.is_empty() => Some(Self::Category(table.to_owned())),
            Some(_) => None,
        };
        policy.ok_or_else(|| InvalidPolicy(text.to_owned()))
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
            Self::Hash => f.write_str("hash"),
            Self::Encrypt => f.write_str("encrypt"),
            Self::Truncate => f.write_str("truncate"),
            Self::First(count) => write!(f, "truncate:{count}"),
            Self::Year => f.write_str("year"),
            Self::Mask => f.write_str("mask"),
            Self::Category(table) => write!(f, "category:{table}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_written_as_it_is_read() {
        let texts = [
            "keep",
            "drop",
            "band:5",
            "hash",
            "encrypt",
            "truncate",
            "truncate:4",
            "year",
            "mask",
            "category:region",
        ];
        for text in texts {
            assert_eq!(text.parse::<TraitPolicy>().map(|policy| policy.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "",
            "band:0",
            "band:",
            "band",
            "truncate:0",
            "truncate:x",
            "category:",
            "category",
            "Hash",
            "hash:1",
        ] {
            let refused = text.parse::<TraitPolicy>().map_err(|error| error.to_string());
            assert!(refused.is_err_and(|message| message.contains("write keep")), "{text}");
        }
    }
}

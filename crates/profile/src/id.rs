//! Ids: short texts that the shop made up and that mean something to the shop alone. In comes any text, out goes an id
//! that is non-empty, bounded and printable, or the fault that it has. Ids are compared byte by byte, never normalised.

use compact_str::{CompactString, ToCompactString};
use serde::{Deserialize, Serialize};
use std::fmt;
use xxhash_rust::xxh64::xxh64;

/// The longest id, in bytes of UTF-8.
pub const ID_MAX_BYTES: usize = 128;

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// It is longer than allowed.
    #[error("has {bytes} bytes, {max_bytes} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// It contains a control character.
    #[error("has a control character")]
    ControlCharacter,
    /// It begins or ends with white space.
    #[error("begins or ends with a space")]
    OuterSpace,
}

/// Checks a text that may be empty and may have spaces: its length and that it is printable.
pub fn check_text(text: &str, max_bytes: usize) -> Result<(), TextError> {
    if text.len() > max_bytes {
        return Err(TextError::TooLong { bytes: text.len(), max_bytes });
    }
    // Nearly every text is of printable ASCII, which is seen at a glance.
    let plain = text.bytes().fold(true, |plain, byte| plain & (b' '..=b'~').contains(&byte));
    if !plain && text.chars().any(char::is_control) {
        return Err(TextError::ControlCharacter);
    }
    Ok(())
}

/// Checks a text that names something: printable, bounded, not empty, no space at its ends.
pub fn check_id(text: &str) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    check_text(text, ID_MAX_BYTES)?;
    if text.trim().len() != text.len() {
        return Err(TextError::OuterSpace);
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "CompactString")]
        pub struct $name(CompactString);

        impl TryFrom<CompactString> for $name {
            type Error = TextError;

            /// As [`Self::parse`]: what is stored may be damaged.
            fn try_from(text: CompactString) -> Result<Self, TextError> {
                check_id(&text).map(|()| Self(text))
            }
        }

        impl $name {
            /// Takes a text that passes [`check_id`].
            pub fn parse(text: &str) -> Result<Self, TextError> {
                check_id(text).map(|()| Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// The shop's own id of a shopper.
    ///
    /// ```
    /// use portrait_profile::{TextError, UserId};
    ///
    /// assert_eq!(UserId::parse("lena@example.com")?.as_str(), "lena@example.com");
    /// assert_eq!(UserId::parse(""), Err(TextError::Empty));
    /// assert_eq!(UserId::parse(" lena"), Err(TextError::OuterSpace));
    /// # Ok::<(), TextError>(())
    /// ```
    UserId
);
id!(
    /// The shop's own id of an item of its catalogue.
    ItemId
);
id!(
    /// The sender's id of one record; two records of one user with one id count once.
    RecordId
);
id!(
    /// The shop's own id of an order; its lines share it.
    OrderId
);

impl OrderId {
    /// XXH64 (seed 0) of its text: what a profile keeps of it.
    pub(crate) fn hash(&self) -> u64 {
        xxh64(self.0.as_bytes(), 0)
    }
}

impl From<u64> for ItemId {
    /// The id that is the number's decimal digits.
    fn from(number: u64) -> Self {
        Self(number.to_compact_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_or_its_fault_is_named() {
        let long = "x".repeat(129);
        let rows: [(&str, Option<TextError>); 7] = [
            ("u1", None),
            ("用户 7", None),
            ("", Some(TextError::Empty)),
            (&long, Some(TextError::TooLong { bytes: 129, max_bytes: 128 })),
            ("a\0b", Some(TextError::ControlCharacter)),
            (" a", Some(TextError::OuterSpace)),
            ("a\u{3000}", Some(TextError::OuterSpace)),
        ];
        for (text, fault) in rows {
            assert_eq!(UserId::parse(text).err(), fault, "{text:?}");
            let stored = postcard::to_allocvec(text).expect("a text");
            assert_eq!(
                postcard::from_bytes::<UserId>(&stored).is_err(),
                fault.is_some(),
                "{text:?} is stored"
            );
        }
    }
}

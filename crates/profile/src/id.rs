//! Ids: short texts that the shop assigns and that have meaning only to the shop. A parsed id is non-empty, bounded and
//! printable. Ids are compared byte by byte and never normalised. Ids of new records have no invisible character either; those
//! that an earlier release stored stay readable, and their users can be erased.

use compact_str::{CompactString, ToCompactString};
use serde::{Deserialize, Serialize};
use std::fmt;
use xxhash_rust::xxh64::xxh64;

/// Maximum length of an id, in bytes of UTF-8.
pub const ID_MAX_BYTES: usize = 128;

/// Defect of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Text without a byte.
    #[error("is empty")]
    Empty,
    /// Text longer than its limit.
    #[error("has {bytes} bytes, {max_bytes} are allowed")]
    TooLong {
        /// Length of the text.
        bytes: usize,
        /// Limit of the length.
        max_bytes: usize,
    },
    /// Text with a control character.
    #[error("has a control character")]
    ControlCharacter,
    /// Text that begins or ends with white space.
    #[error("begins or ends with a space")]
    OuterSpace,
    /// Text with a format character or line separator, which no reader sees.
    #[error("has an invisible character: remove zero-width, directional and other format characters")]
    InvisibleCharacter,
}

/// Checks a text that may be empty and may have spaces: its length, and that it is printable.
///
/// # Errors
/// If the text is longer than `max_bytes` or has a control character.
pub fn check_text(text: &str, max_bytes: usize) -> Result<(), TextError> {
    if text.len() > max_bytes {
        return Err(TextError::TooLong { bytes: text.len(), max_bytes });
    }
    // Nearly every text is printable ASCII. A fold without an early exit is vectorised; decoding UTF-8 is not.
    let is_ascii = text.bytes().fold(true, |is_ascii, byte| is_ascii & (b' '..=b'~').contains(&byte));
    if !is_ascii && text.chars().any(char::is_control) {
        return Err(TextError::ControlCharacter);
    }
    Ok(())
}

/// Checks an id: printable, at most [`ID_MAX_BYTES`] long, not empty, without a space at its ends.
///
/// # Errors
/// The first defect that the text has.
pub fn check_id(text: &str) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    check_text(text, ID_MAX_BYTES)?;
    // A space at an end is nearly always a mistake of the sender, and would make two users of one.
    if text.trim().len() != text.len() {
        return Err(TextError::OuterSpace);
    }
    Ok(())
}

/// Checks an id of a new record: as [`check_id`], and without characters that no reader sees.
///
/// # Errors
/// The first defect that the text has.
pub fn check_new_id(text: &str) -> Result<(), TextError> {
    check_id(text)?;
    // Two ids that look the same would be two users or items of one.
    if !text.is_ascii() && text.chars().any(is_invisible) {
        return Err(TextError::InvisibleCharacter);
    }
    Ok(())
}

/// Returns true for a character that no reader sees or that changes how others are read: Unicode's format characters (category Cf,
/// such as zero-width spaces, directional overrides, soft hyphens and tags), and its line and paragraph separators (Zl, Zp).
///
/// ```
/// assert!(portrait_profile::is_invisible('\u{200B}'));
/// assert!(!portrait_profile::is_invisible('é'));
/// ```
pub const fn is_invisible(character: char) -> bool {
    // The ranges of Unicode 16.
    matches!(
        character,
        '\u{AD}'
            | '\u{600}'..='\u{605}'
            | '\u{61C}'
            | '\u{6DD}'
            | '\u{70F}'
            | '\u{890}'..='\u{891}'
            | '\u{8E2}'
            | '\u{180E}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{110BD}'
            | '\u{110CD}'
            | '\u{13430}'..='\u{1343F}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0001}'
            | '\u{E0020}'..='\u{E007F}'
    )
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        // Decoding validates as well: a damaged store must not bring an invalid id into the domain.
        #[serde(try_from = "CompactString")]
        pub struct $name(CompactString);

        impl TryFrom<CompactString> for $name {
            type Error = TextError;

            /// Parses as [`Self::parse`], since stored bytes may be damaged.
            fn try_from(text: CompactString) -> Result<Self, TextError> {
                check_id(&text).map(|()| Self(text))
            }
        }

        impl $name {
            /// Parses a text that passes [`check_id`].
            ///
            /// # Errors
            /// The first defect that the text has.
            pub fn parse(text: &str) -> Result<Self, TextError> {
                check_id(text).map(|()| Self(text.into()))
            }

            /// Parses the id of a new record: a text that passes [`check_new_id`].
            ///
            /// # Errors
            /// The first defect that the text has.
            pub fn parse_new(text: &str) -> Result<Self, TextError> {
                check_new_id(text).map(|()| Self(text.into()))
            }

            /// Returns the text of the id.
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
    /// User id as the shop assigns it.
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
    /// Item id as the shop's catalogue has it.
    ItemId
);
id!(
    /// Id of a record as the sender assigns it; two records of one user with one id count once.
    RecordId
);
id!(
    /// Order id as the shop assigns it; the lines of an order share it.
    OrderId
);

impl OrderId {
    /// Returns the XXH64 (seed 0) of the text, which profiles keep instead of the id.
    pub(crate) fn hash(&self) -> u64 {
        xxh64(self.0.as_bytes(), 0)
    }
}

impl From<u64> for ItemId {
    /// Returns the id made of the decimal digits of `number`.
    fn from(number: u64) -> Self {
        // Digits are a valid id, so that no check is needed.
        Self(number.to_compact_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_accepted_or_its_defect_is_named() {
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
        for (text, error) in rows {
            assert_eq!(UserId::parse(text).err(), error, "{text:?}");
            let stored = postcard::to_allocvec(text).expect("a text");
            assert_eq!(
                postcard::from_bytes::<UserId>(&stored).is_err(),
                error.is_some(),
                "{text:?} is stored"
            );
        }
    }

    #[test]
    fn an_invisible_character_is_refused_in_new_ids_and_read_in_stored_ones() {
        let blocks = [0x200B..=0x200F, 0x2028..=0x202E, 0x2060..=0x2064, 0x2066..=0x206F, 0xE0020..=0xE007F];
        let single = ['\u{AD}', '\u{61C}', '\u{180E}', '\u{FEFF}', '\u{FFFB}', '\u{1D173}', '\u{E0001}'];
        for character in blocks.into_iter().flatten().filter_map(char::from_u32).chain(single) {
            let text = format!("le{character}na");
            assert_eq!(UserId::parse_new(&text), Err(TextError::InvisibleCharacter), "{text:?}");
            let stored = postcard::to_allocvec(&text).expect("a text");
            assert_eq!(postcard::from_bytes::<UserId>(&stored).expect("readable").as_str(), text);
            // Reads and erasures name the users that are stored.
            assert_eq!(UserId::parse(&text).map(|id| id.as_str() == text), Ok(true));
        }
        for text in ["u1", "用户 7", "é\u{2010}\u{2065}", "a\u{200A}b"] {
            assert_eq!(OrderId::parse_new(text).map(|id| id.as_str() == text), Ok(true), "{text:?}");
        }
        assert_eq!(UserId::parse_new(" a"), Err(TextError::OuterSpace));
    }
}

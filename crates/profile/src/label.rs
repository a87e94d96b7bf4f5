//! Names of categories and brands. A profile keeps the spelling that came first; spellings that differ in case, in outer spaces or in
//! the composition of characters are one name.

use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;

/// Returns the key that all spellings of a name share: trimmed, composed (NFC) and in lower case.
pub fn label_key(name: &str) -> Cow<'_, str> {
    let name = name.trim();
    if !name.is_ascii() {
        return name.nfc().flat_map(char::to_lowercase).nfc().collect();
    }
    // Most names are in lower case: no copy.
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

/// Returns whether two names are the same but for their spelling.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    label_key(one) == label_key(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_the_same() {
        let rows = [
            ("Shoes", "shoes ", true),
            ("Schuhe & Stiefel", "SCHUHE & STIEFEL", true),
            ("Caf\u{e9}", "cafe\u{301}", true),
            ("\u{c9}t\u{e9}", "\u{e9}t\u{e9}", true),
            ("shoes", "shoe", false),
            ("鞋", "鞋子", false),
            ("", " ", true),
        ];
        for (one, other, expected) in rows {
            assert_eq!(is_same(one, other), expected, "{one:?} {other:?}");
        }
    }
}

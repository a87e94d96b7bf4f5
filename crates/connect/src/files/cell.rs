//! Spellings that tools give to cells: words for a missing value, and numbers that gained a fraction of zeros.

use std::borrow::Cow;

/// Words for a missing value as pandas, R, Spark, Hive, spreadsheets, JavaScript and Python write them. In exactly these spellings,
/// since NAN is a brand.
const MISSING: [&str; 19] = [
    "NA",
    "N/A",
    "n/a",
    "<NA>",
    "#N/A",
    "NaN",
    "nan",
    "NaT",
    "null",
    "NULL",
    "Null",
    "(null)",
    "\\N",
    "None",
    "none",
    "NONE",
    "nil",
    "undefined",
    "Undefined",
];

/// Returns true if the text stands for a missing value.
pub(super) fn is_missing(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || MISSING.contains(&text)
}

/// Returns the whole number that gained a fraction of zeros, as `17850` of `17850.0`; any other text as it is.
pub(super) fn without_zero_fraction(text: &str) -> &str {
    // Tools turn a column of numbers into floats as soon as one value is missing.
    let Some((whole, fraction)) = text.split_once('.') else { return text };
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_zero = !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0');
    if is_whole && is_zero { whole } else { text }
}

/// Returns the letters and digits of a name in lower case: `addtocart` of `add_to_cart`, `addToCart` and `Add to cart`.
pub(super) fn letters(name: &str) -> String {
    name.replace(['_', '-', ' '], "").to_ascii_lowercase()
}

/// Returns the text for a message: cut after 40 characters.
pub(super) fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(40) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_zeros_is_removed_from_whole_numbers_only() {
        let rows = [
            ("17850.0", "17850"),
            ("266079.00", "266079"),
            ("-1.0", "-1"),
            ("0.0", "0"),
            ("100", "100"),
            ("2053013552326770905.0", "2053013552326770905"),
            ("10.0.0", "10.0.0"),
            ("1.0.0.0", "1.0.0.0"),
            ("1.50", "1.50"),
            ("100.05", "100.05"),
            (".0", ".0"),
            ("5.", "5."),
            ("-.0", "-.0"),
            ("v1.0", "v1.0"),
            ("1e3.0", "1e3.0"),
            ("1.0 ", "1.0 "),
            ("", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(without_zero_fraction(text), expected, "{text:?}");
        }
    }

    #[test]
    fn missing_values_are_recognised_in_the_spellings_of_tools_only() {
        for text in [
            "",
            " ",
            "NA",
            "N/A",
            "<NA>",
            "#N/A",
            "NaN",
            "nan",
            "NaT",
            "null",
            "NULL",
            "None",
            "undefined",
            "\\N",
            " NaN ",
        ] {
            assert!(is_missing(text), "{text:?}");
        }
        for text in ["0", "0.0", "-", "no", "NAN", "nano", "Nancy", "nullable", "other", "unknown", "n"] {
            assert!(!is_missing(text), "{text:?}");
        }
    }

    #[test]
    fn an_excerpt_ends_between_characters() {
        assert_eq!(excerpt("short"), "short");
        assert_eq!(excerpt(&"é".repeat(50)), format!("{}...", "é".repeat(40)));
    }
}

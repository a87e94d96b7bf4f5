//! Text of others in a terminal: what would not be seen, or would change what is read, is shown as its code.

use portrait_profile::is_invisible;
use std::fmt::Write;

/// Escapes of [`Paint`](super::Paint), which stay; every other escape character is of the data.
const PAINTED: [&str; 4] = ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[36m", "\u{1b}[0m"];

/// Returns the text with control and invisible characters written as `\u{200b}`. Line ends and our own colours stay.
///
/// ```
/// use portrait_client::text::printable;
///
/// assert_eq!(printable("le\u{202e}na\n"), "le\\u{202e}na\n");
/// ```
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(painted) = PAINTED.iter().find(|painted| rest.starts_with(**painted)) {
            shown.push_str(painted);
            rest = &rest[painted.len()..];
            continue;
        }
        if character != '\n' && (character.is_control() || is_invisible(character)) {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        } else {
            shown.push(character);
        }
        rest = &rest[character.len_utf8()..];
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_reader_sees_is_shown_as_its_code() {
        let rows = [
            ("lena 用户 é 👩", "lena 用户 é 👩"),
            ("two\nlines\n", "two\nlines\n"),
            ("\u{1b}[1mbold\u{1b}[0m", "\u{1b}[1mbold\u{1b}[0m"),
            ("\u{1b}[8mhidden", "\\u{1b}[8mhidden"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("admin\u{202e}nimda", "admin\\u{202e}nimda"),
            ("zero\u{200b}width", "zero\\u{200b}width"),
            ("a\u{2028}b\u{2029}c\r\t", "a\\u{2028}b\\u{2029}c\\u{d}\\u{9}"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
        ];
        for (text, expected) in rows {
            assert_eq!(printable(text), expected);
            assert_eq!(printable(expected), expected, "it is escaped once");
        }
    }
}

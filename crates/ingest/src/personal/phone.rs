//! Telephone numbers by their form: international (`+49 170 1234567`), national with a leading 0 or brackets, and national forms
//! without one by their groups. Dates, prices, ranges, versions and short numbers are none.

use std::net::Ipv4Addr;

/// Fewest digits of a number with its area code; E.164 allows at most 15.
const DIGITS_MIN: usize = 7;
const DIGITS_MAX: usize = 15;
/// Fewest digits of a number in groups without a country code. Dates and ranges have up to eight.
const GROUPED_DIGITS_MIN: usize = 9;
/// Most groups of a number with a leading 0: a French one has five, a draw of a lottery six.
const GROUPS_MAX: usize = 5;
/// Longest extension after `ext.` or `x`, in digits.
const EXTENSION_DIGITS_MAX: usize = 6;

/// National forms without a leading 0: digits of each group, and the smallest first digit.
const FORMS: [(&[usize], u8); 10] = [
    // North America, also with its country code
    (&[3, 3, 4], b'1'),
    (&[1, 3, 3, 4], b'1'),
    // China
    (&[3, 4, 4], b'1'),
    // Spain, Poland, Portugal; lower first digits are mostly thousands
    (&[3, 3, 3], b'5'),
    (&[3, 2, 2, 2], b'5'),
    // Turkey, Ukraine
    (&[3, 3, 2, 2], b'3'),
    // Brazil
    (&[2, 5, 4], b'1'),
    (&[2, 4, 4], b'1'),
    // Switzerland and India
    (&[2, 3, 2, 2], b'2'),
    (&[5, 5], b'6'),
];

/// Digits of a text and what separates them.
#[derive(Default)]
struct Number {
    has_plus: bool,
    has_bracket: bool,
    /// True if every separator is a dot, as in versions and prices.
    has_only_dots: bool,
    has_dash_or_slash: bool,
    groups: Vec<String>,
}

/// Returns true if the whole text is a telephone number.
pub(super) fn is_phone(text: &str) -> bool {
    let lower = text.trim().to_lowercase();
    let text = without_extension(&lower);
    let Some(number) = Number::of(text) else { return false };
    let digits = number.groups.concat();
    if !(DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()) || number.is_date() {
        return false;
    }
    if number.has_plus {
        return !digits.starts_with('0') && !number.is_signed_decimal();
    }
    if number.groups.len() == 1 { is_plain_number(&digits) } else { number.is_grouped(text, &digits) }
}

/// Returns the text before an extension such as `ext. 12` or `x12`.
fn without_extension(text: &str) -> &str {
    let marked = ["extension", "ext.", "ext", "x", "#"].into_iter().find_map(|mark| text.rsplit_once(mark));
    let Some((head, digits)) = marked.map(|(head, tail)| (head, tail.trim())) else { return text };
    let is_extension = (1..=EXTENSION_DIGITS_MAX).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_extension { head.trim_end() } else { text }
}

/// Returns true for a national number written as digits alone.
fn is_plain_number(digits: &str) -> bool {
    let bytes = digits.as_bytes();
    match bytes {
        [b'0', b'0', b'1'..=b'9', ..] => bytes.len() >= 10,
        [b'0', b'1'..=b'9', ..] => (10..=12).contains(&bytes.len()),
        // China: mobile numbers begin with 13 to 19.
        [b'1', b'3'..=b'9', ..] if bytes.len() == 11 => true,
        [b'1', rest @ ..] if bytes.len() == 11 => is_north_american(rest),
        _ => bytes.len() == 10 && is_north_american(bytes) && !is_hour(digits),
    }
}

/// Returns true for ten digits that the North American plan can assign: no other plain number of ten digits is taken for a phone.
fn is_north_american(digits: &[u8]) -> bool {
    match digits {
        [b'2'..=b'9', area @ .., _, _, _, _, _, _, _] if area == b"11" => false,
        [b'2'..=b'9', b'0'..=b'8', _, b'2'..=b'9', exchange @ .., _, _, _, _] => exchange != b"11",
        _ => false,
    }
}

/// Returns true for a day and an hour, as `2024013123`.
fn is_hour(digits: &str) -> bool {
    let day = digits.get(..4).zip(digits.get(4..6)).zip(digits.get(6..8));
    day.is_some_and(|((year, month), day)| is_day(year, month, day))
        && digits.get(8..).is_some_and(|hour| hour < "25")
}

fn is_day(year: &str, month: &str, day: &str) -> bool {
    let within =
        |text: &str, min: u32, max: u32| text.parse().is_ok_and(|number: u32| (min..=max).contains(&number));
    year.len() == 4 && within(year, 1800, 2200) && within(month, 1, 12) && within(day, 1, 31)
}

impl Number {
    /// Reads digits and separators; `None` if the text has another character.
    fn of(text: &str) -> Option<Self> {
        // Tools that read a column of numbers write 13800138000 as 13800138000.0.
        let integer = text.strip_suffix(".0").filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let mut number = Self { has_only_dots: true, ..Self::default() };
        let mut is_in_group = false;
        for (index, character) in integer.unwrap_or(text).chars().enumerate() {
            match character {
                '0'..='9' => {
                    if !is_in_group {
                        number.groups.push(String::new());
                    }
                    number.groups.last_mut()?.push(character);
                }
                // Also `(+49)`.
                '+' if index <= 1 && number.groups.is_empty() => number.has_plus = true,
                '(' | ')' => number.has_bracket = true,
                '-' | '/' | '\u{2010}'..='\u{2015}' | '\u{2212}' => number.has_dash_or_slash = true,
                '.' | ' ' | '\u{A0}' | '\u{2009}' | '\u{202F}' => {}
                _ => return None,
            }
            is_in_group = character.is_ascii_digit();
            number.has_only_dots &= is_in_group || character == '.';
        }
        Some(number)
    }

    /// Returns true for a price or a difference, as `+12345.67`. The fraction of `+1.4155552671` is a number.
    fn is_signed_decimal(&self) -> bool {
        matches!(&self.groups[..], [_, fraction] if fraction.len() <= 4) && !self.has_dash_or_slash
    }

    /// Returns true if the first three groups are a day.
    fn is_date(&self) -> bool {
        match &self.groups[..] {
            [a, b, c, ..] => is_day(a, b, c) || is_day(c, b, a) || is_day(c, a, b),
            _ => false,
        }
    }

    /// Returns true for a number in groups, without a plus.
    fn is_grouped(&self, text: &str, digits: &str) -> bool {
        if digits.len() < GROUPED_DIGITS_MIN {
            return false;
        }
        // A version such as 10.0.19041.1234 has groups of one digit, an address parses, thousands have three groups of three.
        let lengths: Vec<usize> = self.groups.iter().map(String::len).collect();
        let is_version = lengths.contains(&1) || lengths[..] == [3, 3, 3] || text.parse::<Ipv4Addr>().is_ok();
        if self.has_only_dots && is_version {
            return false;
        }
        // Two decimals, as in a pair of coordinates.
        if text.split_whitespace().filter(|part| part.contains('.') && part.parse::<f64>().is_ok()).count()
            > 1
        {
            return false;
        }
        let has_trunk = digits.starts_with('0') && lengths[0] >= 2 && lengths.len() <= GROUPS_MAX;
        let is_national = has_trunk && digits.len() <= 12 && !digits.starts_with("00");
        let is_international = digits.starts_with("00") && !digits.starts_with("000") && lengths[0] >= 2;
        let is_bracketed = self.has_bracket && text.starts_with('(') && lengths.len() <= GROUPS_MAX;
        let has_form = FORMS.iter().any(|(form, first)| {
            // A range such as 60000-70000 has a dash.
            lengths[..] == **form
                && digits.as_bytes()[0] >= *first
                && (form.len() > 2 || !self.has_dash_or_slash)
        });
        is_national || is_international || is_bracketed || has_form
    }
}

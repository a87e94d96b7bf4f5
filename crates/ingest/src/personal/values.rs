//! Kind of personal data by the form of a value: e-mail addresses, telephone numbers, payment cards, bank accounts, and resident
//! ids of China with their check digit. A list, a link or JSON is looked at part by part.

use super::kind::PersonalKind;
use super::names::half_width;
use super::phone;
use portrait_profile::is_invisible;
use std::borrow::Cow;

/// Fewest digits of anything but an e-mail address.
const DIGITS_MIN: usize = 7;
/// Characters between the parts of a list, a link or JSON.
const SEPARATORS: &[char] = &[
    ',', ';', ':', '|', '=', '&', '?', '[', ']', '{', '}', '"', '\'', '<', '>', '\n', '\r', '\t', '、', '。',
];
/// Endings of file names. `logo@2x.png` is no address.
const FILE_ENDINGS: [&str; 9] = ["avif", "css", "gif", "jpeg", "jpg", "js", "png", "svg", "webp"];

/// Returns the kind of personal data that a value is or has; `None` if its form is none of theirs.
pub(crate) fn kind_of_value(value: &str) -> Option<PersonalKind> {
    let text = plain(value);
    if has_email(&text) {
        return Some(PersonalKind::Email);
    }
    // Most values have few digits, which spares them the rest.
    if text.bytes().filter(u8::is_ascii_digit).count() < DIGITS_MIN {
        return None;
    }
    text.split(SEPARATORS).find_map(|part| kind_of_part(part.trim()).or_else(|| kind_in_sentence(part)))
}

/// Looks at the numbers of a sentence: neighbouring words of digits are one number, as in `call 0171 1234567`.
fn kind_in_sentence(text: &str) -> Option<PersonalKind> {
    // A single word was looked at as a whole.
    if text.is_ascii() && !text.trim().contains(char::is_whitespace) {
        return None;
    }
    // Scripts without spaces: 电话13800138000.
    let phrases = text.split(|character: char| !character.is_ascii() && character.is_alphabetic());
    phrases.into_iter().find_map(|phrase| {
        let words: Vec<&str> = phrase.split_whitespace().collect();
        let mut numbers =
            words.chunk_by(|a, b| is_number(a) == is_number(b)).filter(|words| is_number(words[0]));
        let number = numbers.find_map(|words| kind_of_number(words.join(" ").trim_end_matches(['.', '!'])));
        number.or_else(|| {
            words.iter().any(|word| is_resident_id(word)).then_some(PersonalKind::IdentityDocument)
        })
    })
}

/// Returns true for a word with digits and no letters.
fn is_number(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_digit()) && !word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Returns the kind of a number in a sentence. Ten digits alone are more often the number of an order than of a telephone.
fn kind_of_number(number: &str) -> Option<PersonalKind> {
    let is_ambiguous = number.len() == 10 && number.bytes().all(|byte| byte.is_ascii_digit());
    if is_ambiguous { None } else { kind_of_part(number) }
}

fn kind_of_part(part: &str) -> Option<PersonalKind> {
    // In this order: a resident id and a card are a long number, and some numbers have the length of a phone.
    if is_resident_id(part) || is_social_security_number(part) {
        Some(PersonalKind::IdentityDocument)
    } else if is_card(part) || is_iban(part) {
        Some(PersonalKind::Payment)
    } else if phone::is_phone(part) {
        Some(PersonalKind::Phone)
    } else {
        None
    }
}

/// Returns the text with half-width characters, without invisible ones, and with `%40` as `@`.
fn plain(value: &str) -> Cow<'_, str> {
    let text = if value.is_ascii() {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(value.chars().filter(|character| !is_invisible(*character)).map(half_width).collect())
    };
    if text.contains("%40") { Cow::Owned(text.replace("%40", "@")) } else { text }
}

/// Returns true if an address is anywhere in the text.
fn has_email(text: &str) -> bool {
    text.match_indices('@').any(|(at, _)| {
        let domain = &text[at + 1..];
        let end = domain.find(|character: char| !character.is_alphanumeric() && !"-.".contains(character));
        let domain = &domain[..end.unwrap_or(domain.len())];
        ends_in_local_part(&text[..at]) && is_domain_name(domain.trim_end_matches('.'))
    })
}

fn ends_in_local_part(text: &str) -> bool {
    text.chars().next_back().is_some_and(|last| last.is_alphanumeric() || "._%+-'".contains(last))
}

fn is_domain_name(domain: &str) -> bool {
    let Some((host, top)) = domain.rsplit_once('.') else { return false };
    let is_top = top.chars().count() >= 2 && top.chars().all(char::is_alphabetic) || top.starts_with("xn--");
    let is_file = FILE_ENDINGS.iter().any(|ending| top.eq_ignore_ascii_case(ending));
    is_top && !is_file && host.chars().next_back().is_some_and(char::is_alphanumeric)
}

/// Returns the digits of a text that has only digits and single spaces or dashes between them.
fn grouped_digits(text: &str) -> Option<Vec<u8>> {
    // Tools that read a column of numbers append `.0`.
    let text = text.strip_suffix(".0").unwrap_or(text);
    let mut digits = Vec::with_capacity(text.len());
    let mut after_digit = false;
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => digits.push(byte - b'0'),
            b' ' | b'-' if after_digit => {}
            _ => return None,
        }
        after_digit = byte.is_ascii_digit();
    }
    after_digit.then_some(digits)
}

/// Returns true for 13 to 19 digits that a card can have: an issuer's prefix, its length and the check digit of Luhn.
fn is_card(text: &str) -> bool {
    let Some(digits) = grouped_digits(text) else { return false };
    // Without the prefix one of ten order numbers and times in milliseconds would pass.
    let lengths: &[usize] = match digits[..] {
        // A bar code of 13 digits has a check digit of its own.
        [4, ..] if digits.len() == 13 && is_bar_code(&digits) => &[],
        [4, ..] => &[13, 16, 19],
        [2, 2..=7, ..] | [5, 1..=5, ..] | [3, 5, ..] => &[16],
        [3, 4 | 7, ..] => &[15],
        [3, 0 | 6 | 8 | 9, ..] => &[14, 16],
        [5, 0 | 6..=9, ..] | [6, ..] | [8, 1 | 2, ..] => &[16, 17, 18, 19],
        _ => &[],
    };
    lengths.contains(&digits.len()) && has_luhn_digit(&digits)
}

/// Check digit of ISO/IEC 7812-1, annex B: every second digit from the right is doubled.
fn has_luhn_digit(digits: &[u8]) -> bool {
    let values = digits.iter().rev().enumerate().map(|(index, &digit)| match (index % 2, digit) {
        (1, 5..) => u32::from(digit) * 2 - 9,
        (1, _) => u32::from(digit) * 2,
        _ => u32::from(digit),
    });
    values.sum::<u32>().is_multiple_of(10)
}

/// Check digit of an EAN: weights 1 and 3 in turn from the right.
fn is_bar_code(digits: &[u8]) -> bool {
    let values = digits.iter().rev().enumerate();
    let sum: u32 = values.map(|(index, &digit)| u32::from(digit) * if index % 2 == 1 { 3 } else { 1 }).sum();
    sum.is_multiple_of(10)
}

/// Returns true for a resident id of China: region, day of birth, serial number and check digit (GB 11643-1999).
fn is_resident_id(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECK_DIGITS: [u8; 11] = *b"10X98765432";
    if text.len() < 18 {
        return false;
    }
    let bytes: Vec<u8> = text.bytes().filter(|byte| !b" -".contains(byte)).collect();
    let Some((check, digits)) = bytes.split_last().filter(|(_, digits)| digits.len() == 17) else {
        return false;
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let has_birth_day = (1800..=2200).contains(&number(&digits[6..10]))
        && (1..=12).contains(&number(&digits[10..12]))
        && (1..=31).contains(&number(&digits[12..14]));
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    let expected = CHECK_DIGITS.get(sum as usize % CHECK_DIGITS.len());
    digits[0] != b'0' && has_birth_day && expected == Some(&check.to_ascii_uppercase())
}

/// Returns the number that ASCII digits are.
fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

/// Returns true for the form of a social security number of the United States, as `123-45-6789`.
fn is_social_security_number(text: &str) -> bool {
    text.len() == 11
        && text.bytes().enumerate().all(|(index, byte)| match index {
            3 | 6 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// Returns true for a bank account number with country, check digits and their remainder (ISO 13616).
fn is_iban(text: &str) -> bool {
    if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return false;
    }
    let bytes: Vec<u8> =
        text.bytes().filter(|byte| *byte != b' ').map(|byte| byte.to_ascii_uppercase()).collect();
    let has_form = matches!(bytes[..], [b'A'..=b'Z', b'A'..=b'Z', b'0'..=b'9', b'0'..=b'9', ..])
        && (15..=34).contains(&bytes.len())
        && bytes.iter().all(u8::is_ascii_alphanumeric);
    if !has_form {
        return false;
    }
    // Country and check digits go to the end, and letters count from 10.
    let remainder = bytes[4..].iter().chain(&bytes[..4]).fold(0, |remainder, byte| match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        letter => (remainder * 100 + u32::from(letter - b'A') + 10) % 97,
    });
    remainder == 1
}

#[cfg(test)]
mod tests;

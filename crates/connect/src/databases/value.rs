//! Spelling of values: one text for one value, whichever engine and whichever way it comes from.

use super::error::SourceError;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::fmt::Write as _;

/// Kind of a column, which decides how its values are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    /// Text as it is.
    Text,
    /// Text of a fixed width, without the spaces that fill it.
    Padded,
    /// Whole number.
    Integer,
    /// Decimal number.
    Decimal,
    /// Binary floating-point number.
    Float,
    /// `true` or `false`.
    Boolean,
    /// Bits of MySQL, as a whole number.
    Bits,
    /// Date without a time.
    Date,
    /// Point in time.
    Instant,
    /// Date and time without an offset, in the time zone that the caller names.
    LocalTime,
}

/// Time zone of columns without an offset.
#[derive(Clone, Debug)]
pub(super) struct LocalZone {
    zone: TimeZone,
    is_utc: bool,
}

impl LocalZone {
    /// Finds a time zone of the IANA database.
    pub(super) fn named(name: &str) -> Result<Self, SourceError> {
        let unknown = |_| SourceError::TimeZone { name: name.to_owned() };
        Ok(Self { zone: TimeZone::get(name).map_err(unknown)?, is_utc: name.eq_ignore_ascii_case("utc") })
    }

    /// Returns the date and time that a clock of the zone shows at a point in time, given in UTC.
    pub(super) fn local(&self, utc: DateTime) -> DateTime {
        utc.to_zoned(TimeZone::UTC).map_or(utc, |at| at.with_time_zone(self.zone.clone()).datetime())
    }

    /// Spells a date and time of the zone as RFC 3339. Of a repeated hour the first is meant.
    fn rfc3339(&self, text: &str) -> Option<Box<str>> {
        if self.is_utc {
            return utc_rfc3339(text);
        }
        let at = text.parse::<DateTime>().ok()?.to_zoned(self.zone.clone()).ok()?;
        let seconds = at.offset().seconds();
        if seconds % 60 != 0 {
            // Offsets of local mean time have seconds, which RFC 3339 cannot say.
            return utc_rfc3339(&at.with_time_zone(TimeZone::UTC).datetime().to_string());
        }
        let sign = if seconds < 0 { '-' } else { '+' };
        let minutes = seconds.abs() / 60;
        Some(format!("{}{sign}{:02}:{:02}", at.datetime(), minutes / 60, minutes % 60).into())
    }
}

/// Spells a value that the database printed. Values that RFC 3339 cannot say (infinity, years outside 0001 to 9999, zero dates) stay
/// as printed, so that the reader of the row can reject it.
pub(super) fn spell(kind: ValueKind, text: &str, zone: &LocalZone) -> Box<str> {
    match kind {
        ValueKind::Text | ValueKind::Integer | ValueKind::Boolean | ValueKind::Bits | ValueKind::Date => {
            text.into()
        }
        ValueKind::Padded => text.trim_end_matches(' ').into(),
        ValueKind::Decimal | ValueKind::Float => plain_decimal(text),
        ValueKind::Instant => text.strip_suffix("+00").and_then(utc_rfc3339).unwrap_or_else(|| text.into()),
        ValueKind::LocalTime => zone.rfc3339(text).unwrap_or_else(|| text.into()),
    }
}

/// Spells `2024-05-06 07:08:09.120` as `2024-05-06T07:08:09.12+00:00`.
fn utc_rfc3339(text: &str) -> Option<Box<str>> {
    let bytes = text.as_bytes();
    let is_shape = |at: usize, byte: u8| match at {
        4 | 7 => byte == b'-',
        10 => byte == b' ' || byte == b'T',
        13 | 16 => byte == b':',
        19 => byte == b'.',
        _ => byte.is_ascii_digit(),
    };
    let is_whole = bytes.len() >= 19 && bytes.iter().enumerate().all(|(at, &byte)| is_shape(at, byte));
    if !is_whole || text.starts_with("0000") || &text[5..7] == "00" || &text[8..10] == "00" {
        return None;
    }
    let text = if text.len() > 19 { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    let mut spelled = String::with_capacity(text.len() + 6);
    spelled.push_str(&text[..10]);
    spelled.push('T');
    spelled.push_str(&text[11..]);
    spelled.push_str("+00:00");
    Some(spelled.into())
}

/// Spells a number without an exponent, a plus sign, or zeros that say nothing: `1.50E+3` as `1500`. Other text stays as it is.
fn plain_decimal(text: &str) -> Box<str> {
    let (sign, magnitude) = match text.as_bytes().first() {
        Some(b'-') => ("-", &text[1..]),
        Some(b'+') => ("", &text[1..]),
        _ => ("", text),
    };
    let (mantissa, exponent) = match magnitude.split_once(['e', 'E']) {
        // Doubles end at 308; more would be a row that fills the memory.
        Some((mantissa, exponent)) => match exponent.parse::<i32>() {
            Ok(exponent) if exponent.abs() <= 400 => (mantissa, exponent),
            _ => return text.into(),
        },
        None => (magnitude, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || whole.len() + fraction.len() == 0 {
        return text.into();
    }
    let (whole, fraction) = shift(whole, fraction, exponent);
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let sign = if whole.is_empty() && fraction.is_empty() { "" } else { sign };
    let mut spelled = String::with_capacity(text.len());
    spelled.push_str(sign);
    spelled.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(spelled, ".{fraction}");
    }
    spelled.into()
}

/// Moves the decimal point right by `exponent` digits.
fn shift(whole: &str, fraction: &str, exponent: i32) -> (String, String) {
    let mut digits = format!("{whole}{fraction}");
    let point = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(i64::from(exponent));
    match usize::try_from(point) {
        Ok(point) => {
            while digits.len() < point {
                digits.push('0');
            }
            let fraction = digits.split_off(point);
            (digits, fraction)
        }
        Err(_) => {
            let zeros = usize::try_from(point.unsigned_abs()).unwrap_or(0);
            (String::new(), format!("{}{digits}", "0".repeat(zeros)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_plain_decimals() {
        let rows = [
            ("1.50", "1.5"),
            ("-0.00", "0"),
            ("17850.0", "17850"),
            ("1e+20", "100000000000000000000"),
            ("1.5E-7", "0.00000015"),
            ("-12.345e2", "-1234.5"),
            ("+7", "7"),
            (".5", "0.5"),
            ("100", "100"),
            ("NaN", "NaN"),
            ("Infinity", "Infinity"),
            ("-Infinity", "-Infinity"),
            ("1e999", "1e999"),
            ("", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(&*plain_decimal(text), expected, "{text:?}");
        }
    }

    #[test]
    fn times_are_rfc_3339_with_an_offset() {
        let check = |kind, zone: &str, text: &str, expected: &str| {
            assert_eq!(&*spell(kind, text, &LocalZone::named(zone).unwrap()), expected, "{text} in {zone}");
        };
        let (instant, local) = (ValueKind::Instant, ValueKind::LocalTime);
        check(instant, "Europe/Berlin", "2024-05-06 07:08:09.120+00", "2024-05-06T07:08:09.12+00:00");
        check(instant, "UTC", "infinity", "infinity");
        check(instant, "UTC", "0044-03-15 12:00:00+00 BC", "0044-03-15 12:00:00+00 BC");
        check(instant, "UTC", "10000-01-01 00:00:00+00", "10000-01-01 00:00:00+00");
        check(local, "UTC", "2024-05-06 07:08:09", "2024-05-06T07:08:09+00:00");
        check(local, "UTC", "2024-05-06 07:08:09.000000", "2024-05-06T07:08:09+00:00");
        check(local, "UTC", "0000-00-00 00:00:00", "0000-00-00 00:00:00");
        check(local, "Europe/Berlin", "2024-05-06 07:08:09.5", "2024-05-06T07:08:09.5+02:00");
        check(local, "Europe/Berlin", "2024-01-06 07:08:09", "2024-01-06T07:08:09+01:00");
        check(local, "America/St_Johns", "2024-01-06 07:08:09", "2024-01-06T07:08:09-03:30");
        check(local, "Europe/Berlin", "0000-00-00 00:00:00", "0000-00-00 00:00:00");
    }

    #[test]
    fn unknown_time_zones_are_refused() {
        assert!(matches!(LocalZone::named("Mars/Olympus"), Err(SourceError::TimeZone { .. })));
    }
}

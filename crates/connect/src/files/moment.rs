//! Times as logs write them: a date and a time with an optional offset from UTC, or the seconds, milli-, micro- or nanoseconds since
//! 1970. An offset is honoured, or the text is no time; it is never read and ignored.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use prost_types::Timestamp;

/// Largest offset from UTC that is understood. Clocks on Earth are at most 14 hours ahead.
const OFFSET_MAX_SECONDS: i32 = 18 * 3600;
const NANOS: i128 = 1_000_000_000;

/// Parses a date and a time: `2019-10-01 03:00:00`, with `T` or a space between, a fraction of the second, and one of the offsets
/// `Z`, `UTC`, `GMT`, `+03:00`, `+0300`, `+03`, `UTC+3`, or a zone in brackets. Without an offset the time is in UTC, as is a date alone
/// at midnight.
pub(super) fn date_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.contains('[') {
        // RFC 9557, as 2026-01-01T00:00:00+01:00[Europe/Berlin]; an offset that contradicts the zone is refused.
        let zoned: jiff::Zoned = text.parse().ok()?;
        return wire(zoned.timestamp());
    }
    let date_length = text.find(|letter: char| !letter.is_ascii_digit() && letter != '-');
    let (date, rest) = text.split_at(date_length.unwrap_or(text.len()));
    // Of `2019-10-01-05` the parser might take the date and drop the rest.
    if !matches!(date.len(), 8 | 10) {
        return None;
    }
    let rest = rest.strip_prefix(['T', 't']).unwrap_or(rest).trim_start();
    let time_length = rest
        .find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, ':' | '.' | ','))
        .unwrap_or(rest.len());
    let (time, zone) = rest.split_at(time_length);
    at_offset(date.parse().ok()?, if time.is_empty() { Time::midnight() } else { time.parse().ok()? }, zone)
}

/// Converts a day and a time of day in UTC.
pub(super) fn in_utc(at: DateTime) -> Option<Timestamp> {
    wire(Offset::UTC.to_timestamp(at).ok()?)
}

/// Parses the time since 1970 as a number. The unit follows from the magnitude: below 1e11 seconds, below 1e14 milliseconds, below
/// 1e17 microseconds, else nanoseconds. The bounds are the year 5138 in the smaller unit and 1973 in the larger one.
pub(super) fn since_epoch(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // 30 digits cannot overflow the conversion below; the largest time has 21 in nanoseconds.
    if whole.is_empty() || whole.len() > 30 || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let number: i128 = whole.parse().ok()?;
    let unit_nanos = match number {
        0..100_000_000_000 => NANOS,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1000,
        _ => 1,
    };
    // The fraction is parsed as digits of the unit: a float has no microseconds left at ten digits before the point.
    let fraction: i128 = format!("{fraction:0<9.9}").parse().ok()?;
    let nanos = number.checked_mul(unit_nanos)?.checked_add(fraction * unit_nanos / NANOS)?;
    of_nanos(sign * nanos)
}

fn at_offset(date: Date, time: Time, zone: &str) -> Option<Timestamp> {
    wire(offset(zone)?.to_timestamp(date.to_datetime(time)).ok()?)
}

/// Parses the text after the time of day.
fn offset(zone: &str) -> Option<Offset> {
    let mut words = zone.split_whitespace();
    let Some(word) = words.next() else { return Some(Offset::UTC) };
    let seconds = offset_seconds(word)?;
    let had_digits = word.bytes().any(|byte| byte.is_ascii_digit());
    match (words.next(), words.next()) {
        (None, _) => {}
        // Some programs write the abbreviation of the zone behind the offset: `+0800 CST`. The offset is what counts.
        (Some(name), None) if had_digits && is_abbreviation(name) => {}
        _ => return None,
    }
    Offset::from_seconds(seconds).ok()
}

fn offset_seconds(word: &str) -> Option<i32> {
    if is_utc(word) {
        return Some(0);
    }
    let at = word.find(['+', '-', '\u{2212}'])?;
    let (name, number) = word.split_at(at);
    // `UTC+3` is common; any other name before a sign has its own offset, which is not known here.
    if !name.is_empty() && !is_utc(name) {
        return None;
    }
    let negative = !number.starts_with('+');
    let digits = number.strip_prefix(['+', '-', '\u{2212}'])?;
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        Some(_) => return None,
        None if digits.len() == 4 && digits.is_ascii() => digits.split_at(2),
        None => (digits, "0"),
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    let seconds = hours * 3600 + minutes * 60;
    if minutes >= 60 || seconds > OFFSET_MAX_SECONDS {
        return None;
    }
    Some(if negative { -seconds } else { seconds })
}

fn is_utc(name: &str) -> bool {
    ["utc", "gmt", "z"].iter().any(|utc| name.eq_ignore_ascii_case(utc))
}

fn is_abbreviation(word: &str) -> bool {
    word.len() <= 5 && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn two_digits(text: &str) -> Option<i32> {
    if (1..=2).contains(&text.len()) && is_digits(text) { text.parse().ok() } else { None }
}

fn wire(at: jiff::Timestamp) -> Option<Timestamp> {
    of_nanos(at.as_nanosecond())
}

fn of_nanos(nanos: i128) -> Option<Timestamp> {
    // Euclidean: times before 1970 must not get negative nanoseconds.
    Some(Timestamp {
        seconds: i64::try_from(nanos.div_euclid(NANOS)).ok()?,
        nanos: i32::try_from(nanos.rem_euclid(NANOS)).ok()?,
    })
}

#[cfg(test)]
mod tests;

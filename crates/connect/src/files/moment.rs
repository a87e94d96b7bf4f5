//! Times as logs write them: a date and a time with an optional offset from UTC, the seconds, milli-, micro- or nanoseconds since 1970,
//! or a pattern. An offset is honoured, or the text is no time; it is never read and ignored.

use jiff::civil::{DateTime, Time};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{Offset, TimeZone};
use prost_types::Timestamp;

/// Largest offset from UTC that is understood. Clocks on Earth are at most 14 hours ahead.
const OFFSET_MAX_SECONDS: i32 = 18 * 3600;
const NANOS: i128 = 1_000_000_000;

/// Parses a date and a time: `2019-10-01 03:00:00`, with `T` or a space between, a fraction of the second, and one of the offsets
/// `Z`, `UTC`, `GMT`, `+03:00`, `+0300`, `+03`, `UTC+3`, or a zone in brackets. Without an offset the time is in UTC, as is a date alone
/// at midnight.
pub(super) fn date_time(text: &str) -> Option<Timestamp> {
    iso(text, &TimeZone::UTC, Time::midnight())
}

/// As [`date_time`], with the zone of times without an offset, and the time of day of dates without one.
pub(super) fn iso(text: &str, zone: &TimeZone, time_of_day: Time) -> Option<Timestamp> {
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
    let (time, own_zone) = rest.split_at(time_length);
    let date: jiff::civil::Date = date.parse().ok()?;
    let at = date.to_datetime(if time.is_empty() { time_of_day } else { hours(time)? });
    match offset(own_zone)? {
        Some(offset) => wire(offset.to_timestamp(at).ok()?),
        None => in_zone(at, zone),
    }
}

/// Parses a time of day, which may be an hour alone, as in `2014-12-06 02`.
fn hours(time: &str) -> Option<Time> {
    match two_digits(time) {
        Some(hour) => Time::new(i8::try_from(hour).ok()?, 0, 0, 0).ok(),
        // Spreadsheets write 8:26 for 08:26.
        None if time.find(':') == Some(1) => format!("0{time}").parse().ok(),
        None => time.parse().ok(),
    }
}

/// Converts a day and a time of day of a zone. Of a time that the clocks of the zone show twice, the first one is meant.
pub(super) fn in_zone(at: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    wire(zone.to_ambiguous_timestamp(at).compatible().ok()?)
}

/// Parses a time by a pattern of `strptime`. `year` is that of a pattern without one, and `time_of_day` the time of a pattern without
/// an hour.
pub(super) fn by_pattern(
    pattern: &str,
    text: &str,
    zone: &TimeZone,
    year: Option<i16>,
    time_of_day: Time,
) -> Option<Timestamp> {
    let mut parsed = broken_down(pattern, text.trim())?;
    if let Some(at) = parsed.timestamp() {
        return wire(at);
    }
    if let (None, Some(year)) = (parsed.year(), year) {
        parsed.set_year(Some(year)).ok()?;
    }
    let date = parsed.to_date().ok()?;
    let time = if parsed.hour().is_some() { parsed.to_time().ok()? } else { time_of_day };
    let at = date.to_datetime(time);
    match (parsed.offset(), parsed.iana_time_zone()) {
        (Some(offset), _) => wire(offset.to_timestamp(at).ok()?),
        (None, Some(name)) => in_zone(at, &TimeZone::get(name).ok()?),
        (None, None) => in_zone(at, zone),
    }
}

/// Parses a time of day by a pattern of `strptime`.
pub(super) fn time_of_day(pattern: &str, text: &str) -> Option<Time> {
    broken_down(pattern, text.trim())?.to_time().ok()
}

/// Parses a text by a pattern, also if a tool took the digits of a pattern without signs for a number and dropped the zeros in front.
fn broken_down(pattern: &str, text: &str) -> Option<BrokenDownTime> {
    let parsed = BrokenDownTime::parse(pattern, text).ok();
    parsed.or_else(|| {
        let width = digits_of(pattern)?;
        let text = super::cell::without_zero_fraction(text);
        if !is_digits(text) || text.is_empty() || text.len() >= width {
            return None;
        }
        BrokenDownTime::parse(pattern, format!("{text:0>width$}")).ok()
    })
}

/// Returns the number of digits of a pattern of digits alone, such as `%m%d`.
fn digits_of(pattern: &str) -> Option<usize> {
    let mut width = 0;
    let mut rest = pattern;
    while let Some(directive) = rest.strip_prefix('%') {
        width += match directive.chars().next()? {
            'Y' => 4,
            'm' | 'd' | 'H' | 'M' | 'S' | 'y' => 2,
            _ => return None,
        };
        rest = &directive[1..];
    }
    rest.is_empty().then_some(width)
}

/// Returns the time plus so many units of `unit_nanos`, a text with an optional fraction.
pub(super) fn plus(at: &Timestamp, text: &str, unit_nanos: i128) -> Option<Timestamp> {
    let nanos = i128::from(at.seconds) * NANOS + i128::from(at.nanos);
    of_nanos(nanos.checked_add(nanos_of(text, unit_nanos)?)?)
}

/// Parses an offset such as `+08:00`, or `UTC`.
pub(super) fn fixed_offset(text: &str) -> Option<Offset> {
    offset(text)?
}

/// Parses the number of units of `unit_nanos` since 1970.
pub(super) fn since_epoch_in(text: &str, unit_nanos: i128) -> Option<Timestamp> {
    of_nanos(nanos_of(text, unit_nanos)?)
}

/// Parses the time since 1970 as a number. The unit follows from the magnitude: below 1e11 seconds, below 1e14 milliseconds, below
/// 1e17 microseconds, else nanoseconds. The bounds are the year 5138 in the smaller unit and 1973 in the larger one.
pub(super) fn since_epoch(text: &str) -> Option<Timestamp> {
    let whole = text.trim().trim_start_matches('-');
    let whole = whole.split_once('.').map_or(whole, |(whole, _)| whole);
    let unit_nanos = match whole.len() {
        0..=11 => NANOS,
        12..=14 => 1_000_000,
        15..=17 => 1000,
        _ => 1,
    };
    since_epoch_in(text, unit_nanos)
}

/// Parses a number of units as nanoseconds.
fn nanos_of(text: &str, unit_nanos: i128) -> Option<i128> {
    let text = text.trim();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // 30 digits cannot overflow an i128; the largest time has 21 in nanoseconds.
    if whole.is_empty() || whole.len() > 30 || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let number: i128 = whole.parse().ok()?;
    // The fraction is parsed as digits of the unit: a float has no microseconds left at ten digits before the point.
    let fraction: i128 = format!("{fraction:0<9.9}").parse().ok()?;
    let nanos = number.checked_mul(unit_nanos)?.checked_add(fraction * unit_nanos / NANOS)?;
    Some(sign * nanos)
}

/// Parses the text after the time of day; the inner value is none if there is none.
fn offset(zone: &str) -> Option<Option<Offset>> {
    let mut words = zone.split_whitespace();
    let Some(word) = words.next() else { return Some(None) };
    let seconds = offset_seconds(word)?;
    let had_digits = word.bytes().any(|byte| byte.is_ascii_digit());
    match (words.next(), words.next()) {
        (None, _) => {}
        // Some programs write the abbreviation of the zone behind the offset: `+0800 CST`. The offset is what counts.
        (Some(name), None) if had_digits && is_abbreviation(name) => {}
        _ => return None,
    }
    Offset::from_seconds(seconds).ok().map(Some)
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

//! Guess of the spelling of times from their values.

use super::super::moment;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use prost_types::Timestamp;

/// Patterns that are tried, those with the month first before those with the day first.
const PATTERNS: [&str; 20] = [
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%m-%d-%Y %H:%M",
    "%d-%m-%Y %H:%M",
    "%m-%d-%y %H:%M",
    "%d-%m-%y %H:%M",
    "%m/%d/%y %H:%M",
    "%d/%m/%y %H:%M",
    "%Y%m%d%H%M%S",
    "%b %d, %Y",
];
/// Times that events of shops have: 1995 to 2100.
const SECONDS: std::ops::Range<i64> = 788_918_400..4_102_444_800;

/// Spelling of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimeSpelling {
    /// Value of `time_format`.
    pub(super) format: String,
    /// Another pattern that all values have too, with day and month exchanged.
    pub(super) other: Option<&'static str>,
}

/// Returns the spelling of values; none if they are no times.
pub(super) fn spelling(values: &[&str]) -> Option<TimeSpelling> {
    if values.is_empty() {
        return None;
    }
    let units = [("unix_s", 1_000_000_000), ("unix_ms", 1_000_000), ("unix_us", 1000), ("unix_ns", 1)];
    let plain = |format: &str| Some(TimeSpelling { format: format.to_owned(), other: None });
    if all(values, |text| moment::iso(text, &TimeZone::UTC, Time::midnight())) {
        return plain("iso");
    }
    for (name, unit_nanos) in units {
        if all(values, |text| moment::since_epoch_in(text, unit_nanos)) {
            return plain(name);
        }
    }
    let by = |pattern: &str| {
        all(values, |text| moment::by_pattern(pattern, text, &TimeZone::UTC, None, Time::midnight()))
    };
    let mut fitting = PATTERNS.into_iter().filter(|pattern| by(pattern));
    let format = fitting.next()?.to_owned();
    Some(TimeSpelling { format, other: fitting.next() })
}

/// Returns true if nearly all values are times of a shop. A few may be broken.
fn all(values: &[&str], parse: impl Fn(&str) -> Option<Timestamp>) -> bool {
    let parsed =
        values.iter().filter(|text| parse(text).is_some_and(|at| SECONDS.contains(&at.seconds))).count();
    parsed * 10 >= values.len() * 9
}

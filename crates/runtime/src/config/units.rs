//! Intervals and sizes as people write them, with their unit: `250ms`, `30d`, `4MiB`. A number without a unit is refused,
//! except 0.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// An interval in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Interval {
    millis: u64,
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize {
    bytes: u64,
}

/// A text that is no interval or size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: write a whole number and a unit, as {example}")]
pub struct BadUnit {
    text: String,
    what: &'static str,
    example: &'static str,
}

const INTERVALS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Interval {
    /// An interval of whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis }
    }

    /// An interval of whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self { millis: secs * 1000 }
    }

    /// An interval of whole hours.
    pub const fn from_hours(hours: u64) -> Self {
        Self::from_secs(hours * 3600)
    }

    /// An interval of whole days.
    pub const fn from_days(days: u64) -> Self {
        Self::from_hours(days * 24)
    }

    /// In milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.millis
    }

    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.millis)
    }
}

impl ByteSize {
    /// A size of whole mebibytes.
    pub const fn mebibytes(count: u64) -> Self {
        Self { bytes: count << 20 }
    }

    /// A size of whole kibibytes.
    pub const fn kibibytes(count: u64) -> Self {
        Self { bytes: count << 10 }
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.bytes
    }

    /// In bytes, as lengths are counted.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }
}

fn read(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    if text == "0" {
        return Some(0);
    }
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// The largest unit that divides `value`.
fn written(value: u64, units: &[(&str, u64)]) -> String {
    let fits = units.iter().find(|(_, factor)| value > 0 && value.is_multiple_of(*factor));
    fits.map_or_else(|| "0".to_owned(), |(unit, factor)| format!("{}{unit}", value / factor))
}

impl FromStr for Interval {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let bad =
            || BadUnit { text: text.to_owned(), what: "an interval", example: "250ms, 10s, 5m, 24h or 30d" };
        read(text, &INTERVALS).map(Self::from_millis).ok_or_else(bad)
    }
}

impl FromStr for ByteSize {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let bad = || BadUnit { text: text.to_owned(), what: "a size", example: "512B, 64KiB, 4MiB or 1GiB" };
        read(text, &SIZES).map(|bytes| Self { bytes }).ok_or_else(bad)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(self.millis, &INTERVALS))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(self.bytes, &SIZES))
    }
}

impl TryFrom<String> for Interval {
    type Error = BadUnit;

    fn try_from(text: String) -> Result<Self, BadUnit> {
        text.parse()
    }
}

impl TryFrom<String> for ByteSize {
    type Error = BadUnit;

    fn try_from(text: String) -> Result<Self, BadUnit> {
        text.parse()
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> Self {
        interval.to_string()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_and_sizes_are_read_and_written_with_their_unit() {
        let rows = [("0", Some(0)), ("2ms", Some(2)), ("90s", Some(90_000)), ("24h", Some(86_400_000))];
        for (text, millis) in rows {
            assert_eq!(text.parse().ok().map(Interval::as_millis), millis, "{text}");
        }
        for (millis, text) in [(0, "0"), (1500, "1500ms"), (60_000, "1m"), (86_400_000, "1d")] {
            assert_eq!(Interval::from_millis(millis).to_string(), text);
        }
        for (text, bytes) in
            [("4MiB", Some(4 << 20)), ("64 KiB", Some(64 << 10)), ("1kB", None), ("12", None)]
        {
            assert_eq!(text.parse().ok().map(ByteSize::bytes), bytes, "{text}");
        }
        for text in ["", "5", "-1s", "1.5s", "s", "99999999999999999999s", "18446744073709551615d"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }
}

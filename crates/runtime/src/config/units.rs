//! Durations and sizes with their unit: `250ms`, `30d`, `4MiB`. A number without a unit is refused, except 0.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Duration of a configuration key, in whole milliseconds.
///
/// ```
/// use portrait_runtime::config::DurationSetting;
///
/// let keepalive: DurationSetting = "90s".parse().expect("a number and a unit");
/// assert_eq!(keepalive.as_millis(), 90_000);
/// assert!("90".parse::<DurationSetting>().is_err(), "a unit is required");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DurationSetting {
    millis: u64,
}

/// Size of a configuration key, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize {
    bytes: u64,
}

/// Error for text that is not a duration or size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}: write a whole number and a unit, such as {example}")]
pub struct InvalidUnit {
    text: String,
    expected: &'static str,
    example: &'static str,
}

const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl DurationSetting {
    /// Creates a duration of whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis }
    }

    /// Creates a duration of whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self { millis: secs * 1000 }
    }

    /// Creates a duration of whole hours.
    pub const fn from_hours(hours: u64) -> Self {
        Self::from_secs(hours * 3600)
    }

    /// Creates a duration of whole days.
    pub const fn from_days(days: u64) -> Self {
        Self::from_hours(days * 24)
    }

    /// Returns the duration in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.millis
    }

    /// Converts to a standard [`Duration`].
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.millis)
    }
}

impl ByteSize {
    /// Creates a size of `count` mebibytes.
    pub const fn mebibytes(count: u64) -> Self {
        Self { bytes: count << 20 }
    }

    /// Creates a size of `count` kibibytes.
    pub const fn kibibytes(count: u64) -> Self {
        Self { bytes: count << 10 }
    }

    /// Returns the size in bytes.
    pub const fn bytes(self) -> u64 {
        self.bytes
    }

    /// Returns the size in bytes; `usize::MAX` if it does not fit.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }
}

fn parse_units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    // 0 needs no unit: it is the same in all of them.
    if text == "0" {
        return Some(0);
    }
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    // Checked: an overflow must be an error, not a short duration.
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Formats `value` in the largest unit that divides it, so that a dump reads back exactly.
fn format_units(value: u64, units: &[(&str, u64)]) -> String {
    let fits = units.iter().find(|(_, factor)| value > 0 && value.is_multiple_of(*factor));
    fits.map_or_else(|| "0".to_owned(), |(unit, factor)| format!("{}{unit}", value / factor))
}

impl FromStr for DurationSetting {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        parse_units(text, &DURATION_UNITS).map(Self::from_millis).ok_or_else(|| InvalidUnit {
            text: text.to_owned(),
            expected: "a duration",
            example: "250ms, 10s, 5m, 24h or 30d",
        })
    }
}

impl FromStr for ByteSize {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        parse_units(text, &SIZE_UNITS).map(|bytes| Self { bytes }).ok_or_else(|| InvalidUnit {
            text: text.to_owned(),
            expected: "a size",
            example: "512B, 64KiB, 4MiB or 1GiB",
        })
    }
}

impl fmt::Display for DurationSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_units(self.millis, &DURATION_UNITS))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_units(self.bytes, &SIZE_UNITS))
    }
}

impl TryFrom<String> for DurationSetting {
    type Error = InvalidUnit;

    fn try_from(text: String) -> Result<Self, InvalidUnit> {
        text.parse()
    }
}

impl TryFrom<String> for ByteSize {
    type Error = InvalidUnit;

    fn try_from(text: String) -> Result<Self, InvalidUnit> {
        text.parse()
    }
}

impl From<DurationSetting> for String {
    fn from(duration: DurationSetting) -> Self {
        duration.to_string()
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
    fn durations_and_sizes_are_read_and_written_with_their_unit() {
        let rows = [("0", Some(0)), ("2ms", Some(2)), ("90s", Some(90_000)), ("24h", Some(86_400_000))];
        for (text, millis) in rows {
            assert_eq!(text.parse().ok().map(DurationSetting::as_millis), millis, "{text}");
        }
        for (millis, text) in [(0, "0"), (1500, "1500ms"), (60_000, "1m"), (86_400_000, "1d")] {
            assert_eq!(DurationSetting::from_millis(millis).to_string(), text);
        }
        for (text, bytes) in
            [("4MiB", Some(4 << 20)), ("64 KiB", Some(64 << 10)), ("1kB", None), ("12", None)]
        {
            assert_eq!(text.parse().ok().map(ByteSize::bytes), bytes, "{text}");
        }
        for text in ["", "5", "-1s", "1.5s", "s", "99999999999999999999s", "18446744073709551615d"] {
            assert!(text.parse::<DurationSetting>().is_err(), "{text}");
        }
    }
}

//! Times and durations in whole milliseconds, the unit of every crate. No function here reads a clock; the time is always a
//! parameter.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Time in milliseconds since the Unix epoch, UTC.
///
/// ```
/// use portrait_profile::{TimeDelta, Timestamp};
///
/// let at = Timestamp::from_millis(1_700_000_000_000);
/// assert_eq!(at.plus(TimeDelta::from_days(1)).since(at), TimeDelta::from_hours(24));
/// assert!(at.minus(TimeDelta::from_secs(1)) < at);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(i64);

/// Duration in milliseconds; negative when it points backwards.
///
/// ```
/// use portrait_profile::{TimeDelta, Timestamp};
///
/// assert_eq!(TimeDelta::from_minutes(90).as_secs_f64(), 5_400.0);
/// assert_eq!(TimeDelta::from_days(36).as_days_f64(), 36.0);
/// // Negative if the argument is the later time.
/// let earlier = Timestamp::from_millis(1);
/// let later = Timestamp::from_millis(4);
/// assert_eq!(earlier.since(later), TimeDelta::from_millis(-3));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimeDelta(i64);

impl Timestamp {
    /// Unix epoch; also the minimum for data that cannot be older.
    pub const EPOCH: Self = Self(0);

    /// Builds the time `millis` after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Returns the duration since `earlier`; negative if `earlier` is later.
    pub const fn since(self, earlier: Self) -> TimeDelta {
        TimeDelta(self.0.saturating_sub(earlier.0))
    }

    /// Returns the time `delta` later, saturating.
    pub const fn plus(self, delta: TimeDelta) -> Self {
        Self(self.0.saturating_add(delta.0))
    }

    /// Returns the time `delta` earlier, saturating.
    pub const fn minus(self, delta: TimeDelta) -> Self {
        Self(self.0.saturating_sub(delta.0))
    }
}

impl TimeDelta {
    /// Duration of zero milliseconds.
    pub const ZERO: Self = Self(0);

    /// Builds a duration of whole milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Builds a duration of whole seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Builds a duration of whole minutes.
    pub const fn from_minutes(minutes: i64) -> Self {
        Self::from_secs(minutes.saturating_mul(60))
    }

    /// Builds a duration of whole hours.
    pub const fn from_hours(hours: i64) -> Self {
        Self::from_minutes(hours.saturating_mul(60))
    }

    /// Builds a duration of whole days of 24 hours.
    pub const fn from_days(days: i64) -> Self {
        Self::from_hours(days.saturating_mul(24))
    }

    /// Returns the whole milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Returns the seconds with their fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Returns the days of 24 hours with their fraction.
    pub fn as_days_f64(self) -> f64 {
        self.as_secs_f64() / 86_400.0
    }
}

impl fmt::Display for Timestamp {
    /// Writes milliseconds; edges format dates for people, in their own time zone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

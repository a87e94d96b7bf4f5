//! Moments and spans as every crate counts them: whole milliseconds since 1970-01-01T00:00:00Z, and whole milliseconds
//! between two of them. Nothing here asks what time it is; the moment is always passed in.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A moment: milliseconds since the Unix epoch, UTC.
///
/// ```
/// use portrait_profile::{Span, Timestamp};
///
/// let at = Timestamp::from_millis(1_700_000_000_000);
/// assert_eq!(at.plus(Span::from_days(1)).since(at), Span::from_hours(24));
/// assert!(at.minus(Span::from_secs(1)) < at);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(i64);

/// A span of time in milliseconds; negative when it points backwards.
///
/// ```
/// use portrait_profile::{Span, Timestamp};
///
/// assert_eq!(Span::from_minutes(90).as_secs_f64(), 5_400.0);
/// assert_eq!(Span::from_days(36).as_days_f64(), 36.0);
/// // Negative if the second moment is the later one.
/// let (one, two) = (Timestamp::from_millis(1), Timestamp::from_millis(4));
/// assert_eq!(one.since(two), Span::from_millis(-3));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimeDelta(i64);

impl Timestamp {
    /// The Unix epoch; also "before everything" for data that cannot be older.
    pub const EPOCH: Self = Self(0);

    /// The moment `millis` after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this is; negative if it is before.
    pub const fn since(self, earlier: Self) -> TimeDelta {
        TimeDelta(self.0.saturating_sub(earlier.0))
    }

    /// The moment `span` later; the ends of the number line hold.
    pub const fn plus(self, span: TimeDelta) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The moment `span` earlier; the ends of the number line hold.
    pub const fn minus(self, span: TimeDelta) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl TimeDelta {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of whole milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// A span of whole seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// A span of whole minutes.
    pub const fn from_minutes(minutes: i64) -> Self {
        Self::from_secs(minutes.saturating_mul(60))
    }

    /// A span of whole hours.
    pub const fn from_hours(hours: i64) -> Self {
        Self::from_minutes(hours.saturating_mul(60))
    }

    /// A span of whole days of 24 hours.
    pub const fn from_days(days: i64) -> Self {
        Self::from_hours(days.saturating_mul(24))
    }

    /// Whole milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Seconds with their fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Days of 24 hours with their fraction.
    pub fn as_days_f64(self) -> f64 {
        self.as_secs_f64() / 86_400.0
    }
}

impl fmt::Display for Timestamp {
    /// Milliseconds; people are shown dates at the edges, in their own time zone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

//! Calendar of the simulated shop. The first day is Monday, 2025-09-01, in UTC: a fixed date, so that a seed gives
//! the same events at any time.

use portrait_profile::{TimeDelta, Timestamp};
use std::fmt;

/// Day of the shop as an offset from the first day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u32);

/// 2025-09-01T00:00:00Z, a Monday.
const FIRST_MIDNIGHT: Timestamp = Timestamp::from_millis(1_756_684_800_000);

impl Day {
    /// First day of every shop: Monday, 2025-09-01.
    pub const FIRST: Self = Self(0);

    /// Day at an offset of `days_before` from the first.
    pub const fn numbered(days_before: u32) -> Self {
        Self(days_before)
    }

    /// Day of a timestamp; the first day for anything earlier.
    pub fn of(at: Timestamp) -> Self {
        let days = at.since(FIRST_MIDNIGHT).millis().div_euclid(TimeDelta::from_days(1).millis());
        Self(u32::try_from(days.max(0)).unwrap_or(u32::MAX))
    }

    /// Offset from the first day, from 0.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Midnight at which the day begins, in UTC.
    pub fn midnight(self) -> Timestamp {
        FIRST_MIDNIGHT.plus(TimeDelta::from_days(i64::from(self.0)))
    }

    /// Day that follows this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The day `days` days later.
    #[must_use]
    pub const fn after(self, days: u32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Days from `earlier` to this day; 0 if `earlier` is later.
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }

    /// True on Saturdays and Sundays.
    pub const fn is_weekend(self) -> bool {
        // The first day is a Monday.
        self.0 % 7 >= 5
    }
}

impl fmt::Display for Day {
    /// Writes the day counted from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "day {}", u64::from(self.0) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_belongs_to_the_day_that_began_before_it() {
        let rows = [
            (Day::FIRST.midnight(), Day::FIRST),
            (Day::FIRST.midnight().plus(TimeDelta::from_millis(86_399_999)), Day::FIRST),
            (Day::FIRST.midnight().plus(TimeDelta::from_days(1)), Day::numbered(1)),
            (Day::numbered(59).midnight(), Day::numbered(59)),
            (Timestamp::EPOCH, Day::FIRST),
        ];
        for (at, day) in rows {
            assert_eq!(Day::of(at), day, "{at}");
        }
        let weekend: Vec<u32> = (0..14).filter(|number| Day::numbered(*number).is_weekend()).collect();
        assert_eq!(weekend, [5, 6, 12, 13]);
    }
}

//! The days of the simulated shop: in goes the number of a day, out comes when it begins. The first is Monday,
//! 2025-09-01, in UTC; a fixed date, so that the same seed gives the same events forever.

use portrait_profile::{Span, Timestamp};
use std::fmt;

/// One day of the shop, from the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u32);

/// 2025-09-01T00:00:00Z, a Monday.
const FIRST_BEGINS: Timestamp = Timestamp::from_millis(1_756_684_800_000);

impl Day {
    /// Monday, 2025-09-01.
    pub const FIRST: Self = Self(0);

    /// The day that so many days have passed before.
    pub const fn numbered(days_before: u32) -> Self {
        Self(days_before)
    }

    /// The day of a moment; the first for any before it.
    pub fn of(at: Timestamp) -> Self {
        let days = at.since(FIRST_BEGINS).millis().div_euclid(Span::from_days(1).millis());
        Self(u32::try_from(days.max(0)).unwrap_or(u32::MAX))
    }

    /// How many days were before it.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Its midnight.
    pub fn begins(self) -> Timestamp {
        FIRST_BEGINS.plus(Span::from_days(i64::from(self.0)))
    }

    /// The day after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The day so many days after.
    #[must_use]
    pub const fn after(self, days: u32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// The days from `earlier` to this; 0 if it is not earlier.
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whether it is a Saturday or a Sunday.
    pub const fn is_weekend(self) -> bool {
        self.0 % 7 >= 5
    }
}

impl fmt::Display for Day {
    /// As people count them: the first is 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "day {}", u64::from(self.0) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_belongs_to_the_day_that_began_before_it() {
        let rows = [
            (Day::FIRST.begins(), Day::FIRST),
            (Day::FIRST.begins().plus(Span::from_millis(86_399_999)), Day::FIRST),
            (Day::FIRST.begins().plus(Span::from_days(1)), Day::numbered(1)),
            (Day::numbered(59).begins(), Day::numbered(59)),
            (Timestamp::EPOCH, Day::FIRST),
        ];
        for (at, day) in rows {
            assert_eq!(Day::of(at), day, "{at}");
        }
        let weekend: Vec<u32> = (0..14).filter(|number| Day::numbered(*number).is_weekend()).collect();
        assert_eq!(weekend, [5, 6, 12, 13]);
    }
}

//! Sets of remembered ids of a partition: de-duplication windows by the time of arrival, which expire, and the ledgers of sources by
//! day, which stay.

use crate::contract::SeenQuery;
use portrait_profile::{SourceDay, TimeDelta, Timestamp};

/// Number of days of sources whose ids are cached for a partition. Rows come in the order of time, so that few days are in use.
pub const SOURCE_DAYS_CACHED_MAX: usize = 8;

/// Set of remembered ids of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SeenSet {
    /// De-duplication window of this number.
    Window(u32),
    /// Ids of a source on one day.
    Ledger(SourceDay),
}

impl SeenSet {
    /// Returns the sets that may hold the id of a query, with windows of this length: its window, the one before, and the ledger of
    /// its source.
    pub fn of_lookup(query: &SeenQuery, length: TimeDelta) -> impl Iterator<Item = Self> + use<> {
        let window = window_of(query.arrived_at, length);
        let windows = [Some(window), window.checked_sub(1)].into_iter().flatten().map(Self::Window);
        windows.chain(query.source_day.map(Self::Ledger))
    }

    /// Returns the sets that the id of a committed record is added to: its window, and the ledger of its source.
    pub fn of_addition(query: &SeenQuery, length: TimeDelta) -> impl Iterator<Item = Self> + use<> {
        let window = Self::Window(window_of(query.arrived_at, length));
        [window].into_iter().chain(query.source_day.map(Self::Ledger))
    }
}

/// Returns the number of the de-duplication window at a time.
pub fn window_of(at: Timestamp, length: TimeDelta) -> u32 {
    // Times before 1970 fall into window 0: a wrong clock must not make the number negative.
    u32::try_from((at.millis() / length.millis().max(1)).max(0)).unwrap_or(u32::MAX)
}

/// Days of sources in the order of their last use.
#[derive(Default)]
pub struct RecentDays(Vec<SourceDay>);

impl RecentDays {
    /// Notes the use of a day.
    pub fn used(&mut self, day: SourceDay) {
        self.0.retain(|known| *known != day);
        self.0.push(day);
    }

    /// Removes and returns the days that were used least recently, beyond [`SOURCE_DAYS_CACHED_MAX`].
    pub fn take_old(&mut self) -> impl Iterator<Item = SourceDay> {
        self.0.drain(..self.0.len().saturating_sub(SOURCE_DAYS_CACHED_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_profile::SourceId;

    #[test]
    fn the_days_used_least_recently_leave_first() {
        let source = SourceId::parse("orders").expect("a name");
        let day = |day| SourceDay { source, day };
        let mut days = RecentDays::default();
        for number in 0..10 {
            days.used(day(number));
        }
        days.used(day(0));
        assert_eq!(days.take_old().collect::<Vec<_>>(), [day(1), day(2)]);
        assert_eq!(days.take_old().count(), 0);
    }
}

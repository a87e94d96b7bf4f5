//! Age of a profile when it is read: the subset of a user's events that it contains.

use portrait_profile::{TimeDelta, Timestamp};
use serde::Serialize;

/// Age of a profile, by events or by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Staleness {
    /// Contains every event before the target.
    Live,
    /// Lacks the newest events, this many.
    Lag(usize),
    /// Contains the events that are older than this many milliseconds.
    Age(i64),
    /// Contains the events before the split.
    Frozen,
}

impl Staleness {
    /// All ages under comparison, live first.
    pub(super) const ALL: [Self; 9] = [
        Self::Live,
        Self::Lag(1),
        Self::Lag(5),
        Self::Lag(20),
        Self::Age(TimeDelta::from_minutes(1).millis()),
        Self::Age(TimeDelta::from_hours(1).millis()),
        Self::Age(TimeDelta::from_days(1).millis()),
        Self::Age(TimeDelta::from_days(7).millis()),
        Self::Frozen,
    ];

    /// Name of the age in reports.
    pub(super) fn name(self) -> String {
        match self {
            Self::Live => "live".to_owned(),
            Self::Lag(1) => "lag 1 event".to_owned(),
            Self::Lag(events) => format!("lag {events} events"),
            Self::Age(millis) => match millis / TimeDelta::from_minutes(1).millis() {
                1 => "1 minute".to_owned(),
                60 => "1 hour".to_owned(),
                1_440 => "1 day".to_owned(),
                minutes => format!("{} days", minutes / 1_440),
            },
            Self::Frozen => "frozen".to_owned(),
        }
    }

    /// Number of a user's first events that a profile of this age contains when the event at `target` is predicted.
    /// `times` ascend. Events of the target's own timestamp are never among them.
    pub(super) fn known(self, times: &[Timestamp], target: Timestamp, split: Timestamp) -> usize {
        // Many logs have second precision: among events of one timestamp, none may predict another.
        let before = times.partition_point(|at| *at < target);
        match self {
            Self::Live => before,
            Self::Lag(events) => before.saturating_sub(events),
            Self::Age(millis) => {
                let newest = target.minus(TimeDelta::from_millis(millis));
                // Bounded by the events before the target, for an age of less than the resolution of the log.
                times.partition_point(|at| *at <= newest).min(before)
            }
            Self::Frozen => times.partition_point(|at| *at < split).min(before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_the_events_that_its_age_allows() {
        let times: Vec<Timestamp> = [0, 10, 10, 50_000, 70_000].map(Timestamp::from_millis).to_vec();
        let (target, split) = (Timestamp::from_millis(70_000), Timestamp::from_millis(10));
        let rows = [
            (Staleness::Live, 4),
            (Staleness::Lag(1), 3),
            (Staleness::Lag(20), 0),
            (Staleness::Age(60_000), 3),
            (Staleness::Age(3_600_000), 0),
            (Staleness::Frozen, 1),
        ];
        for (staleness, known) in rows {
            assert_eq!(staleness.known(&times, target, split), known, "{}", staleness.name());
        }
        // Events of one timestamp do not know of each other.
        assert_eq!(Staleness::Live.known(&times, Timestamp::from_millis(10), split), 1);
    }
}

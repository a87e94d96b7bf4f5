//! Naive model of the expected profiles: the number of acknowledged events per user and the sum of the hashes of their ids. Compares
//! the profiles with it and knows nothing of logs, leases or commits.

use crate::Census;
use portrait_proto::v1::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;
use xxhash_rust::xxh64::xxh64;

/// Maximum number of differences listed in full.
const DIFFERENCES_LISTED_MAX: usize = 5;

/// Expected state of all profiles.
#[derive(Debug, Default)]
pub struct Oracle {
    /// Expected (events, wrapping sum of the hashes of their ids) by user.
    expected: Census,
    /// Time of the latest erasure by user; events up to it are erased.
    erased: BTreeMap<String, SystemTime>,
    /// Events acknowledged since [`Self::forget_events`].
    events: Vec<Event>,
    /// Outcome counts of the load.
    pub counts: OracleCounts,
}

/// Outcome counts of the sent events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OracleCounts {
    /// Events sent, without duplicates.
    pub sent: u64,
    /// Acknowledged events.
    pub acknowledged: u64,
    /// Refused events, which must not be applied.
    pub refused: u64,
    /// Responses that left the outcome of an event unknown.
    pub unknown: u64,
}

/// Difference between the profiles and the expected state.
#[derive(Debug, Default)]
pub struct Difference {
    /// Missing events.
    pub lost: u64,
    /// Events that were applied more than once or must not be applied.
    pub duplicated: u64,
    /// Up to [`DIFFERENCES_LISTED_MAX`] users with their difference.
    pub listed: Vec<String>,
}

impl Oracle {
    /// Records an acknowledged event, once per event. Events of an erased user up to the erasure are not expected in the profile.
    pub fn acknowledged(&mut self, event: Event) {
        self.counts.acknowledged += 1;
        if self.is_erased(&event) {
            self.events.push(event);
            return;
        }
        let of_user = self.expected.entry(event.user_id.clone()).or_default();
        of_user.0 += 1;
        of_user.1 = of_user.1.wrapping_add(xxh64(event.event_id.as_bytes(), 0));
        self.events.push(event);
    }

    /// Records the erasure of all events of a user up to `until`.
    pub fn erased(&mut self, user: &str, until: SystemTime) {
        self.expected.remove(user);
        self.erased.insert(user.to_owned(), until);
    }

    fn is_erased(&self, event: &Event) -> bool {
        let occurred_at = event.occurred_at.and_then(|at| SystemTime::try_from(at).ok());
        self.erased.get(&event.user_id).is_some_and(|until| occurred_at.is_some_and(|at| at <= *until))
    }

    /// Events acknowledged since [`Self::forget_events`].
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Drops the recorded events and keeps the expected state.
    pub fn forget_events(&mut self) {
        self.events.clear();
    }

    /// Compares `found` with the expected state.
    pub fn compare(&self, found: &Census) -> Difference {
        let none = (0, 0);
        let mut difference = Difference::default();
        let users: BTreeSet<&String> = self.expected.keys().chain(found.keys()).collect();
        for user in users {
            let expected = self.expected.get(user).unwrap_or(&none);
            let actual = found.get(user).unwrap_or(&none);
            if expected == actual {
                continue;
            }
            // Equal counts with different hashes: at least one event is missing and another one was applied in its place.
            let replaced = u64::from(expected.0 == actual.0);
            difference.lost += expected.0.saturating_sub(actual.0) + replaced;
            difference.duplicated += actual.0.saturating_sub(expected.0) + replaced;
            if difference.listed.len() < DIFFERENCES_LISTED_MAX {
                difference.listed.push(format!("{user}: {actual:?} instead of {expected:?}"));
            }
        }
        difference
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_duplicated_and_unexpected_events_are_reported() {
        let event = |user: &str, id: &str| Event {
            user_id: user.to_owned(),
            event_id: id.to_owned(),
            ..Default::default()
        };
        let sum = |ids: &[&str]| -> (u64, u64) {
            let hashes = ids.iter().map(|id| xxh64(id.as_bytes(), 0));
            (ids.len() as u64, hashes.fold(0, u64::wrapping_add))
        };
        let mut oracle = Oracle::default();
        oracle.acknowledged(event("a", "1"));
        oracle.acknowledged(event("a", "2"));
        let rows = [
            (vec![("a", vec!["1", "2"])], (0, 0)),
            (vec![("a", vec!["1"])], (1, 0)),
            (vec![], (2, 0)),
            (vec![("a", vec!["1", "2", "2"])], (0, 1)),
            (vec![("a", vec!["1", "1"])], (1, 1)),
            (vec![("a", vec!["2", "1"]), ("b", vec!["3"])], (0, 1)),
        ];
        for (found, expected) in rows {
            let found = found.iter().map(|(user, ids)| ((*user).to_owned(), sum(ids))).collect();
            let difference = oracle.compare(&found);
            assert_eq!((difference.lost, difference.duplicated), expected, "{found:?}");
            assert_eq!(difference.listed.is_empty(), expected == (0, 0));
        }
    }

    #[test]
    fn events_before_an_erasure_are_not_expected_even_if_they_arrive_later() {
        let epoch = SystemTime::UNIX_EPOCH;
        let event = |id: &str, second: i64| Event {
            user_id: "a".to_owned(),
            event_id: id.to_owned(),
            occurred_at: Some(prost_types::Timestamp { seconds: second, nanos: 0 }),
            ..Default::default()
        };
        let mut oracle = Oracle::default();
        oracle.acknowledged(event("1", 1));
        oracle.erased("a", epoch + std::time::Duration::from_secs(5));
        oracle.acknowledged(event("2", 5));
        assert_eq!(oracle.compare(&Census::new()).lost, 0);
        oracle.acknowledged(event("3", 6));
        assert_eq!(oracle.compare(&Census::new()).lost, 1);
        assert_eq!((oracle.counts.acknowledged, oracle.events().len()), (3, 3));
    }
}

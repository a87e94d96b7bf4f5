//! A naive model of what the profiles must be: for each shopper how many events were acknowledged, and the sum of the hashes of their
//! ids. In comes what became of each event and who was erased; out goes how the profiles differ from that. It knows nothing of logs,
//! leases or commits.

use crate::Census;
use portrait_proto::v1::Event;
use std::collections::BTreeMap;
use std::time::SystemTime;
use xxhash_rust::xxh64::xxh64;

/// How many differences are told in full.
const DIFFERENCES_LISTED_MAX: usize = 5;

/// What must be.
#[derive(Debug, Default)]
pub struct Oracle {
    /// Shopper to (events, wrapping sum of the hashes of their ids).
    expected: Census,
    /// Until when what a shopper did is erased.
    erased: BTreeMap<String, SystemTime>,
    /// What was acknowledged since [`Self::forget_events`].
    events: Vec<Event>,
    /// What was counted.
    pub counts: OracleCounts,
}

/// What became of what was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OracleCounts {
    /// Events, each once.
    pub sent: u64,
    /// Events that were acknowledged.
    pub acknowledged: u64,
    /// Events that were refused, and so must not be there.
    pub refused: u64,
    /// Answers that did not say what became of an event.
    pub unknown: u64,
}

/// How profiles differ from what must be.
#[derive(Debug, Default)]
pub struct Difference {
    /// Events that are missing.
    pub lost: u64,
    /// Events that are there and should not be, or not so often.
    pub duplicated: u64,
    /// Some of the shoppers, and what is wrong with them.
    pub listed: Vec<String>,
}

impl Oracle {
    /// An event is acknowledged; told once of each. What an erased shopper did before the erasure is not to be there.
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

    /// Whatever a shopper did until then is to be gone.
    pub fn erased(&mut self, user: &str, until: SystemTime) {
        self.expected.remove(user);
        self.erased.insert(user.to_owned(), until);
    }

    fn is_erased(&self, event: &Event) -> bool {
        let occurred_at = event.occurred_at.and_then(|at| SystemTime::try_from(at).ok());
        self.erased.get(&event.user_id).is_some_and(|until| occurred_at.is_some_and(|at| at <= *until))
    }

    /// What was acknowledged since [`Self::forget_events`].
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Keeps what must be, and forgets of which events it is made.
    pub fn forget_events(&mut self) {
        self.events.clear();
    }

    /// How `found` differs from what must be.
    pub fn compare(&self, found: &Census) -> Difference {
        let nothing = (0, 0);
        let mut difference = Difference::default();
        let both: BTreeMap<&String, ()> =
            self.expected.keys().chain(found.keys()).map(|user| (user, ())).collect();
        for user in both.into_keys() {
            let (must, is) =
                (self.expected.get(user).unwrap_or(&nothing), found.get(user).unwrap_or(&nothing));
            if must == is {
                continue;
            }
            // As many, and others: one at least is missing, and another in its place.
            let same = u64::from(must.0 == is.0);
            difference.lost += must.0.saturating_sub(is.0) + same;
            difference.duplicated += is.0.saturating_sub(must.0) + same;
            if difference.listed.len() < DIFFERENCES_LISTED_MAX {
                difference.listed.push(format!("{user}: {is:?}, and not {must:?}"));
            }
        }
        difference
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_doubled_or_foreign_is_told() {
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
    fn what_the_erased_did_before_is_not_to_be_there_whenever_it_comes() {
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

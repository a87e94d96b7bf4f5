//! Newest times of one action, for rules that count within any window. Purchases have their amounts; those of carts, purchases
//! and refunds have their categories.

use crate::action::ActionKind;
use crate::codec::varint_bytes;
use crate::distance;
use crate::time::Timestamp;
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserializer, Serialize, Serializer};
use std::fmt;

/// Maximum number of times of one action.
pub const ACTION_TIMES_MAX: usize = 16;
/// Maximum size of the times of all actions of a profile, in bytes.
pub(crate) const TIMES_BUDGET_BYTES: usize = 1024;
/// Maximum size of one time: a distance of ten bytes, a category and an amount of five bytes.
pub(super) const TIME_MAX_BYTES: usize = 16;

/// Newest times of one action, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ActionTimes(Vec<ActionTime>);

/// Time of an action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ActionTime {
    pub(crate) at: Timestamp,
    /// Index of the category in the profile; none for other actions, and after the category was evicted.
    pub(crate) category: Option<u8>,
    /// Money of a purchase, in the base currency; 0 for other actions.
    pub(crate) amount: f32,
}

impl ActionTimes {
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, ActionTime> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Inserts a time. Beyond the limit the oldest is evicted.
    pub(super) fn insert(&mut self, time: ActionTime) {
        let index = self.0.partition_point(|known| known.at > time.at);
        if index < ACTION_TIMES_MAX {
            self.0.truncate(ACTION_TIMES_MAX - 1);
            self.0.insert(index, time);
        }
    }

    pub(super) fn remove_oldest(&mut self) {
        self.0.pop();
    }

    /// Adapts the indices of categories to the eviction of the one at `index`.
    pub(super) fn forget_category(&mut self, index: u8) {
        self.0.iter_mut().for_each(|time| time.category = index_after_eviction(time.category, index));
    }

    /// Returns an upper limit of the encoded size, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let pairs = self.0.iter().zip(self.0.iter().skip(1));
        let distances: usize =
            pairs.map(|(later, earlier)| varint_bytes(distance::between(later.at, earlier.at))).sum();
        // The first distance is to the newest contribution of the count, which is as new: one byte.
        1 + distances + self.0.len() * (TIME_MAX_BYTES - 10)
    }
}

/// Returns the index of an entry after the eviction of the one at `evicted`; none if it was that one.
pub(crate) fn index_after_eviction(index: Option<u8>, evicted: u8) -> Option<u8> {
    index.filter(|index| *index != evicted).map(|index| index - u8::from(index > evicted))
}

/// Times of an action with what their encoding refers to.
pub(super) struct PackedTimes<'a> {
    pub(super) kind: ActionKind,
    pub(super) newest: Timestamp,
    pub(super) times: &'a ActionTimes,
}

fn has_category(kind: ActionKind) -> bool {
    matches!(kind, ActionKind::AddToCart | ActionKind::Purchase | ActionKind::Refund)
}

fn has_amount(kind: ActionKind) -> bool {
    kind == ActionKind::Purchase
}

impl ActionTime {
    /// Returns the time of an action with what is kept of its kind.
    pub(super) fn of(kind: ActionKind, at: Timestamp, category: Option<u8>, amount: f64) -> Self {
        Self {
            at,
            category: category.filter(|_| has_category(kind)),
            amount: if has_amount(kind) { amount as f32 } else { 0.0 },
        }
    }
}

impl Serialize for PackedTimes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.times.len()))?;
        let mut previous = self.newest;
        for time in self.times.iter() {
            let distance = distance::between(previous, time.at);
            previous = time.at;
            // Swapped: round numbers end in zero bytes, which the variable-length integer drops at its high end.
            let amount = time.amount.to_bits().swap_bytes();
            let category = time.category.map_or(0, |index| index + 1);
            match (has_category(self.kind), has_amount(self.kind)) {
                (true, true) => sequence.serialize_element(&(distance, category, amount))?,
                (true, false) => sequence.serialize_element(&(distance, category))?,
                (false, _) => sequence.serialize_element(&distance)?,
            }
        }
        sequence.end()
    }
}

/// Deserializer of the times of one action.
pub(super) struct TimesSeed {
    pub(super) kind: ActionKind,
    pub(super) newest: Timestamp,
}

impl<'de> serde::de::DeserializeSeed<'de> for TimesSeed {
    type Value = ActionTimes;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ActionTimes, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for TimesSeed {
    type Value = ActionTimes;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("times of an action")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<ActionTimes, A::Error> {
        let mut times = Vec::new();
        let mut previous = self.newest;
        loop {
            let (distance, category, amount) = match (has_category(self.kind), has_amount(self.kind)) {
                (true, true) => match sequence.next_element::<(u64, u8, u32)>()? {
                    Some(parts) => parts,
                    None => break,
                },
                (true, false) => match sequence.next_element::<(u64, u8)>()? {
                    Some((distance, category)) => (distance, category, 0),
                    None => break,
                },
                (false, _) => match sequence.next_element::<u64>()? {
                    Some(distance) => (distance, 0, 0),
                    None => break,
                },
            };
            if times.len() == ACTION_TIMES_MAX {
                return Err(A::Error::custom("too many times of an action"));
            }
            previous = distance::before(previous, distance);
            times.push(ActionTime {
                at: previous,
                category: category.checked_sub(1),
                amount: f32::from_bits(amount.swap_bytes()),
            });
        }
        Ok(ActionTimes(times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::TimeDelta;

    fn time(second: i64, category: u8) -> ActionTime {
        let at = Timestamp::EPOCH.plus(TimeDelta::from_millis(second * 1000));
        ActionTime::of(ActionKind::Purchase, at, Some(category), 9.5)
    }

    #[test]
    fn the_newest_times_are_kept_in_any_order_of_arrival() {
        let kept = |seconds: &mut dyn Iterator<Item = i64>| {
            let mut times = ActionTimes::default();
            seconds.for_each(|second| times.insert(time(second, 0)));
            times
        };
        let forwards = kept(&mut (0..40));
        let seconds: Vec<i64> = forwards.iter().map(|time| time.at.millis() / 1000).collect();
        assert_eq!(seconds, (24..40).rev().collect::<Vec<_>>());
        assert_eq!(kept(&mut (0..40).rev()), forwards);
        assert_eq!(kept(&mut (0..40).map(|second| second * 27 % 40)), forwards);
    }

    #[test]
    fn an_evicted_category_is_forgotten_and_the_others_keep_theirs() {
        let mut times = ActionTimes::default();
        (0..3).for_each(|category| times.insert(time(i64::from(category), category)));
        times.forget_category(1);
        let categories: Vec<Option<u8>> = times.iter().map(|time| time.category).collect();
        assert_eq!(categories, [Some(1), None, Some(0)]);
    }

    #[test]
    fn only_some_actions_have_a_category_and_an_amount() {
        let of = |kind| ActionTime::of(kind, Timestamp::EPOCH, Some(3), 9.5);
        let rows = [
            (ActionKind::View, None, 0.0),
            (ActionKind::Refund, Some(3), 0.0),
            (ActionKind::Purchase, Some(3), 9.5),
        ];
        for (kind, category, amount) in rows {
            assert_eq!((of(kind).category, of(kind).amount), (category, amount), "{kind:?}");
        }
    }
}

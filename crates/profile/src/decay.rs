//! Sums that fade. A contribution halves with every half-life; the sum keeps only its value and the time of the newest
//! contribution, and takes late contributions at what is left of them, so that the order of arrival does not matter but for
//! rounding: sums are added in 53 significant bits and kept in 24, which is half of what a profile would store otherwise.
//!
//! On `(t, w)`: if `t >= T`, `S = S * 2^(-(t-T)/h) + w` and `T = t`; else `S += w * 2^(-(T-t)/h)`. Read at `now`:
//! `S * 2^(-(now-T)/h)`. (Forward decay: Cormode, Shkapenyuk, Srivastava, Xu, "Forward Decay", ICDE 2009, section 3.)

use crate::time::{TimeDelta, Timestamp};
use serde::{Deserialize, Serialize};

/// An hour, 7 days and 90 days: what just happened, what is going on, and what the shopper is like.
pub const HALF_LIVES: [TimeDelta; 3] = [TimeDelta::from_hours(1), TimeDelta::from_days(7), TimeDelta::from_days(90)];

/// No single contribution is larger, so that no sum ever leaves the finite numbers.
const CONTRIBUTION_MAX: f64 = 1e15;

/// One sum at three half-lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DecayedSum {
    sums: [f32; 3],
    at: Timestamp,
}

/// A sum read at one moment, in the unit of its contributions.
///
/// ```
/// use portrait_profile::{Action, Body, Event, Profile, Record, Span, Timestamp, UserId};
///
/// let at = Timestamp::from_millis(1_700_000_000_000);
/// let event = Event {
///     action: Action::Search,
///     utc_offset_minutes: 0,
///     item_id: None,
///     category: None,
///     brand: None,
///     price: None,
///     quantity: 1.0,
///     order_id: None,
///     context: None,
/// };
/// let mut profile = Profile::new(UserId::parse("lena")?);
/// profile.apply(&Record {
///     user_id: profile.user_id().clone(),
///     record_id: None,
///     occurred_at: at,
///     accepted_at: at,
///     body: Body::Event(event),
///     trace: None,
/// });
///
/// // Two hours are two half-lives of the fastest sum, and next to nothing for the slowest.
/// let searches = profile.view_at(at.plus(Span::from_hours(2))).behavior.actions[0].decayed;
/// assert_eq!(searches.hour, 0.25);
/// assert!(searches.quarter > 0.999);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decayed {
    /// With a half-life of one hour.
    pub hour: f64,
    /// With a half-life of 7 days.
    pub week: f64,
    /// With a half-life of 90 days.
    pub quarter: f64,
}

/// Sums by a small index that share one time and the half-life of 90 days; only those that are not zero are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DecayedHistogram {
    weights: Vec<(u8, f32)>,
    at: Timestamp,
}

/// What is left of 1 after `span`: 1 for a span that is not positive.
pub(crate) fn decay_factor(span: TimeDelta, half_life: TimeDelta) -> f64 {
    let half_lives = span.millis().max(0) as f64 / half_life.millis() as f64;
    (-half_lives).exp2()
}

/// A contribution that is finite and bounded: no number is none.
pub(crate) fn bounded(weight: f64) -> f64 {
    if weight.is_nan() { 0.0 } else { weight.clamp(-CONTRIBUTION_MAX, CONTRIBUTION_MAX) }
}

impl DecayedSum {
    /// Adds a contribution of `weight` made at `at`.
    pub(crate) fn add(&mut self, at: Timestamp, weight: f64) {
        let weight = bounded(weight);
        if self.sums == [0.0; 3] {
            *self = Self { sums: [weight as f32; 3], at };
            return;
        }
        let (older, newer) = (at.since(self.at), self.at.since(at));
        for (sum, half_life) in self.sums.iter_mut().zip(HALF_LIVES) {
            let before = f64::from(*sum) * decay_factor(older, half_life);
            *sum = (before + weight * decay_factor(newer, half_life)) as f32;
        }
        self.at = self.at.max(at);
    }

    /// The sum at `now`; a moment before the newest contribution is taken as that.
    pub(crate) fn read(&self, now: Timestamp) -> Decayed {
        let age = now.since(self.at);
        let [hour, week, quarter] = self.sums.map(f64::from);
        let [h, w, q] = HALF_LIVES.map(|half_life| decay_factor(age, half_life));
        Decayed { hour: hour * h, week: week * w, quarter: quarter * q }
    }

    /// The sums, and when the newest contribution was made.
    pub(crate) fn parts(&self) -> ([f32; 3], Timestamp) {
        (self.sums, self.at)
    }

    /// The sum that has these parts.
    pub(crate) fn from_parts(sums: [f32; 3], at: Timestamp) -> Self {
        Self { sums, at }
    }

    /// When the newest contribution was made.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// The slowest sum at `now`, to compare strengths.
    pub(crate) fn strength(&self, now: Timestamp) -> f64 {
        f64::from(self.sums[2]) * decay_factor(now.since(self.at), HALF_LIVES[2])
    }
}

impl DecayedHistogram {
    /// Adds 1 to `index` at `at`.
    pub(crate) fn add(&mut self, at: Timestamp, index: u8) {
        let slowest = HALF_LIVES[2];
        if self.weights.is_empty() {
            self.at = at;
        }
        if at > self.at {
            let left = decay_factor(at.since(self.at), slowest);
            self.weights.iter_mut().for_each(|(_, weight)| *weight = (f64::from(*weight) * left) as f32);
            self.at = at;
        }
        let weight = decay_factor(self.at.since(at), slowest);
        match self.weights.binary_search_by_key(&index, |(known, _)| *known) {
            Ok(place) => self.weights[place].1 = (f64::from(self.weights[place].1) + weight) as f32,
            Err(place) => self.weights.insert(place, (index, weight as f32)),
        }
    }

    /// The sums at `now`, by index in order.
    pub(crate) fn read(&self, now: Timestamp) -> impl Iterator<Item = (u8, f64)> {
        let left = decay_factor(now.since(self.at), HALF_LIVES[2]);
        self.weights.iter().map(move |(index, weight)| (*index, f64::from(*weight) * left))
    }

    /// Each index's share of the whole, `count` of them; nothing if there is nothing. Shares do not fade.
    pub(crate) fn shares(&self, count: usize) -> Vec<f64> {
        let total: f64 = self.weights.iter().map(|(_, weight)| f64::from(*weight)).sum();
        if total <= 0.0 {
            return Vec::new();
        }
        let mut shares = vec![0.0; count];
        for (index, weight) in &self.weights {
            if let Some(share) = shares.get_mut(usize::from(*index)) {
                *share = f64::from(*weight) / total;
            }
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_halves_with_each_half_life() {
        let mut sum = DecayedSum::default();
        sum.add(Timestamp::EPOCH, 8.0);
        let rows = [(TimeDelta::ZERO, [8.0, 8.0, 8.0]), (HALF_LIVES[0], [4.0, 7.967_06, 7.997_43])];
        for (age, [hour, week, quarter]) in rows {
            let read = sum.read(Timestamp::EPOCH.plus(age));
            assert!((read.hour - hour).abs() < 1e-4, "{read:?}");
            assert!((read.week - week).abs() < 1e-4, "{read:?}");
            assert!((read.quarter - quarter).abs() < 1e-4, "{read:?}");
        }
    }

    #[test]
    fn nothing_leaves_the_finite_numbers() {
        let mut sum = DecayedSum::default();
        for weight in [f64::MAX, f64::INFINITY, f64::NAN, f64::NEG_INFINITY, 1.0] {
            for millis in [i64::MIN, -1, 0, i64::MAX] {
                sum.add(Timestamp::from_millis(millis), weight);
                let read = sum.read(Timestamp::from_millis(i64::MAX));
                assert!(
                    [read.hour, read.week, read.quarter].iter().all(|value| value.is_finite()),
                    "{read:?}"
                );
            }
        }
    }
}

//! Exponentially decayed sums. A contribution halves with every half-life. The sum keeps only its value and the time of the
//! newest contribution, and decays a late contribution to that time, so that the order of arrival does not matter except
//! for rounding: sums are added with 53 significant bits and kept with 24, which halves the bytes in a profile.
//!
//! On `(t, w)`: if `t >= T`, `S = S * 2^(-(t-T)/h) + w` and `T = t`; else `S += w * 2^(-(T-t)/h)`. Read at `now`: `S *
//! 2^(-(now-T)/h)`. Forward decay: Cormode, Shkapenyuk, Srivastava, Xu, "Forward Decay", ICDE 2009, section 3.

use crate::time::{TimeDelta, Timestamp};
use serde::{Deserialize, Serialize};

/// Half-lives of every decayed sum: one hour for the current visit, 7 days for current interests, 90 days for lasting ones.
pub const HALF_LIVES: [TimeDelta; 3] =
    [TimeDelta::from_hours(1), TimeDelta::from_days(7), TimeDelta::from_days(90)];

/// Largest single contribution; it keeps every sum finite.
const CONTRIBUTION_MAX: f64 = 1e15;

/// Sum at three half-lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DecayedSum {
    sums: [f32; 3],
    at: Timestamp,
}

/// Decayed sum at one time, in the unit of its contributions.
///
/// ```
/// use portrait_profile::{Action, Body, Event, Profile, Record, TimeDelta, Timestamp, UserId};
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
///     order_line: 0,
///     strength: None,
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
///     source: None,
/// });
///
/// // Two hours are two half-lives of the fastest sum, and next to nothing for the slowest.
/// let searches = profile.view_at(at.plus(TimeDelta::from_hours(2))).behavior.actions[0].decayed;
/// assert_eq!(searches.hour, 0.25);
/// assert!(searches.quarter > 0.999);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decayed {
    /// Sum with a half-life of one hour.
    pub hour: f64,
    /// Sum with a half-life of 7 days.
    pub week: f64,
    /// Sum with a half-life of 90 days.
    pub quarter: f64,
}

/// Sums by a small index that share one time and the half-life of 90 days; zero sums are not kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DecayedHistogram {
    weights: Vec<(u8, f32)>,
    at: Timestamp,
}

/// Returns the fraction of a contribution that remains after `span`; 1 if `span` is not positive.
pub(crate) fn decay_factor(span: TimeDelta, half_life: TimeDelta) -> f64 {
    let half_lives = span.millis().max(0) as f64 / half_life.millis() as f64;
    (-half_lives).exp2()
}

/// Clamps a contribution to the finite range; NaN becomes 0.
pub(crate) fn bounded(weight: f64) -> f64 {
    if weight.is_nan() { 0.0 } else { weight.clamp(-CONTRIBUTION_MAX, CONTRIBUTION_MAX) }
}

impl DecayedSum {
    /// Adds a contribution of `weight` made at `at`.
    pub(crate) fn add(&mut self, at: Timestamp, weight: f64) {
        let weight = bounded(weight);
        // An empty sum takes the time of its first contribution: otherwise one from before 1970 would decay to 1970.
        if self.sums == [0.0; 3] {
            *self = Self { sums: [weight as f32; 3], at };
            return;
        }
        // One of the two is not positive and leaves its side unchanged.
        let sum_age = at.since(self.at);
        let contribution_age = self.at.since(at);
        for (sum, half_life) in self.sums.iter_mut().zip(HALF_LIVES) {
            let decayed = f64::from(*sum) * decay_factor(sum_age, half_life);
            *sum = (decayed + weight * decay_factor(contribution_age, half_life)) as f32;
        }
        self.at = self.at.max(at);
    }

    /// Returns the sum at `now`, or at the newest contribution if that is later; at least 0, since what is taken back can be more
    /// than what is left, by a rounding error or because it came first.
    pub(crate) fn read(&self, now: Timestamp) -> Decayed {
        let age = now.since(self.at);
        let [hour, week, quarter] = self.sums.map(|sum| f64::from(sum).max(0.0));
        let [h, w, q] = HALF_LIVES.map(|half_life| decay_factor(age, half_life));
        Decayed { hour: hour * h, week: week * w, quarter: quarter * q }
    }

    /// Returns the sums and the time of the newest contribution.
    pub(crate) fn parts(&self) -> ([f32; 3], Timestamp) {
        (self.sums, self.at)
    }

    /// Builds a sum from the values of [`Self::parts`].
    pub(crate) fn from_parts(sums: [f32; 3], at: Timestamp) -> Self {
        Self { sums, at }
    }

    /// Returns the time of the newest contribution.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// Returns the slowest sum at `now`, for comparisons of strength.
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
            let factor = decay_factor(at.since(self.at), slowest);
            self.weights.iter_mut().for_each(|(_, weight)| *weight = (f64::from(*weight) * factor) as f32);
            self.at = at;
        }
        let weight = decay_factor(self.at.since(at), slowest);
        match self.weights.binary_search_by_key(&index, |(known, _)| *known) {
            Ok(found) => self.weights[found].1 = (f64::from(self.weights[found].1) + weight) as f32,
            Err(free) => self.weights.insert(free, (index, weight as f32)),
        }
    }

    /// Returns the sums at `now`, by ascending index.
    pub(crate) fn read(&self, now: Timestamp) -> impl Iterator<Item = (u8, f64)> {
        let factor = decay_factor(now.since(self.at), HALF_LIVES[2]);
        self.weights.iter().map(move |(index, weight)| (*index, f64::from(*weight) * factor))
    }

    /// Returns the share of each of `count` indices; empty without contributions. All sums decay alike, so shares are
    /// constant.
    pub(crate) fn shares(&self, count: usize) -> Vec<f64> {
        let total: f64 = self.weights.iter().map(|(_, weight)| f64::from(*weight)).sum();
        // A sum of weights can underflow to 0 after decades.
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
    fn sums_stay_finite_for_any_input() {
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

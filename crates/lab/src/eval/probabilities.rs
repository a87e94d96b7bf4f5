//! Probabilities from recommendation scores. An item is chosen in proportion to its strength (choice axiom: Luce,
//! "Individual Choice Behavior", 1959, chapter 1), a power of the distance of its score from the minimum:
//!
//! ```text
//! p_j = v_j / sum of v,    v_j = ((score_j - min) / scale + floor)^power
//! ```
//!
//! `scale` is the distance of the maximum from the minimum: the user's own, the mean over users, or the geometric
//! mean of both, because users with more activity have higher scores without being more predictable. Scale, floor and
//! power maximise the likelihood of what followed on events before the evaluated ones: a stale profile gets the
//! confidence that suits it, not that of a live one.

use portrait_learning::prediction::recommend::{ScoreWeights, HoldoutExample, Recommender};
use rayon::prelude::*;
use serde::Serialize;

/// Candidates for the floor, as shares of the scale: the strength of an item without any support.
const FLOORS: [f64; 4] = [1e-3, 1e-2, 1e-1, 1.0];
/// Candidates for the exponent of the user's own scale in the geometric mean with the mean scale.
const BLEND_STEPS: [f64; 3] = [0.0, 0.5, 1.0];
/// Bounds of the bisection for the power.
const POWERS: (f64, f64) = (0.0, 32.0);
/// Steps of the bisection: eleven halvings of the bounds leave less than 0.02.
const HALVINGS: usize = 11;
/// Examples of the fit, at most, spread evenly over all.
const EXAMPLES_MAX: usize = 300;

/// Calibrated mapping from scores to probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct ProbabilityModel {
    scale: f64,
    user_scale_share: f64,
    floor: f64,
    power: f64,
}

/// Prediction of a contender for the item that followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct RankedLoss {
    /// Negative log-likelihood of the item, in nats.
    pub(super) loss: f64,
    /// Probability that the item would be within the top ranks that count as a hit.
    pub(super) hit_probability: f64,
}

/// Scores of all items for one example, and the item that followed.
struct ScoredExample {
    scores: Vec<f32>,
    next: usize,
}

impl ProbabilityModel {
    /// Fits the mapping by maximum likelihood on `examples`. None without examples, or if all scores are equal.
    pub(super) fn fit(recommender: &Recommender, blend: &ScoreWeights, examples: &[HoldoutExample]) -> Option<Self> {
        let every = examples.len().div_ceil(EXAMPLES_MAX).max(1);
        let scored = |example: &HoldoutExample| {
            let mut scores = Vec::new();
            recommender.score(&example.history, Some(blend), &mut scores);
            ScoredExample { scores, next: example.next as usize }
        };
        let scored: Vec<ScoredExample> = examples.par_iter().step_by(every).map(scored).collect();
        let spread = |one: &ScoredExample| {
            let (least, most) = bounds(&one.scores);
            f64::from(most - least)
        };
        let scale = scored.iter().map(spread).sum::<f64>() / scored.len().max(1) as f64;
        if !(scale.is_finite() && scale > 0.0) {
            return None;
        }
        let tried = BLEND_STEPS.iter().flat_map(|own| FLOORS.iter().map(|floor| (*own, *floor)));
        let fits = tried.map(|(own, floor)| {
            let chances = Self { scale, user_scale_share: own, floor, power: 1.0 };
            let logs: Vec<Vec<f64>> = scored.par_iter().map(|one| chances.logs(&one.scores)).collect();
            let power = power(&scored, &logs);
            let loss = mean(&scored, &logs, |logs, next| -log_share(logs, next, power));
            (Self { power, ..chances }, loss)
        });
        fits.min_by(|one, other| one.1.total_cmp(&other.1)).map(|(chances, _)| chances)
    }

    /// Logarithm of each strength before it is raised to the power.
    fn logs(&self, scores: &[f32]) -> Vec<f64> {
        let (least, most) = bounds(scores);
        // A user whose scores are all equal has no scale: a millionth of the mean keeps the division finite.
        let own = f64::from(most - least).max(self.scale * 1e-6);
        let scale = self.scale.powf(1.0 - self.user_scale_share) * own.powf(self.user_scale_share);
        scores.iter().map(|score| (f64::from(score - least) / scale + self.floor).ln()).collect()
    }

    /// Evaluates the scores for `item`, of which the top `within` count as a hit.
    pub(super) fn evaluate(&self, scores: &[f32], thing: u32, within: usize) -> RankedLoss {
        let logs = self.logs(scores);
        let mut worth: Vec<f64> = logs.iter().map(|log| (self.power * log).exp()).collect();
        let all: f64 = worth.iter().sum();
        let own = worth.get(thing as usize).copied().unwrap_or_default();
        if worth.len() > within {
            // Only the sum of the top is needed: selection is linear where a sort is not.
            worth.select_nth_unstable_by(within, |one, other| other.total_cmp(one));
            worth.truncate(within);
        }
        RankedLoss { loss: -(own / all).ln(), hit_probability: (worth.iter().sum::<f64>() / all).min(1.0) }
    }
}

fn bounds(scores: &[f32]) -> (f32, f32) {
    let ends = (f32::INFINITY, f32::NEG_INFINITY);
    scores.iter().fold(ends, |(least, most), score| (least.min(*score), most.max(*score)))
}

fn log_share(logs: &[f64], next: usize, power: f64) -> f64 {
    let all: f64 = logs.iter().map(|log| (power * log).exp()).sum();
    power * logs[next] - all.ln()
}

/// Power that minimises the mean loss, by bisection on its slope. The loss is convex in the power; the slope is the
/// expected log-strength less that of the item that followed.
fn power(scored: &[ScoredExample], logs: &[Vec<f64>]) -> f64 {
    let slope = |power: f64| {
        mean(scored, logs, |logs, next| {
            let (mut all, mut expected) = (0.0, 0.0);
            for log in logs {
                let worth = (power * log).exp();
                (all, expected) = (all + worth, expected + worth * log);
            }
            expected / all - logs[next]
        })
    };
    let (mut low, mut high) = POWERS;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if slope(middle) < 0.0 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// Mean over the examples, summed in their order so that it is equal on every machine.
fn mean(scored: &[ScoredExample], logs: &[Vec<f64>], of: impl Fn(&[f64], usize) -> f64 + Sync) -> f64 {
    let each: Vec<f64> = scored.par_iter().zip(logs).map(|(one, logs)| of(logs, one.next)).collect();
    each.iter().sum::<f64>() / each.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples with the same scores, of which item `j` follows `counts[j]` times.
    fn scored(scores: &[f32], times: &[usize]) -> Vec<ScoredExample> {
        let one = |next: usize| ScoredExample { scores: scores.to_vec(), next };
        times.iter().enumerate().flat_map(|(next, times)| (0..*times).map(move |_| one(next))).collect()
    }

    #[test]
    fn the_fitted_power_recovers_the_one_that_generated_the_examples() {
        // Strengths of 1, 2 and 4 times the floor, chosen in proportion to their squares.
        let scored = scored(&[0.0, 1.0, 3.0], &[100, 400, 1_600]);
        let chances = ProbabilityModel { scale: 1.0, user_scale_share: 0.0, floor: 1.0, power: 1.0 };
        let logs: Vec<Vec<f64>> = scored.iter().map(|one| chances.logs(&one.scores)).collect();
        let found = power(&scored, &logs);
        assert!((found - 2.0).abs() < 0.02, "{found}");
    }

    #[test]
    fn probabilities_sum_to_one_and_top_mass_follows_the_scores() {
        let chances = ProbabilityModel { scale: 1.0, user_scale_share: 0.0, floor: 1.0, power: 2.0 };
        let scores = [0.0, 1.0, 3.0];
        let told: Vec<RankedLoss> = (0..3).map(|thing| chances.evaluate(&scores, thing, 1)).collect();
        let sum: f64 = told.iter().map(|told| (-told.loss).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{told:?}");
        assert!(told.iter().all(|told| (told.hit_probability - 16.0 / 21.0).abs() < 1e-12), "{told:?}");
        assert!((chances.evaluate(&scores, 0, 3).hit_probability - 1.0).abs() < 1e-12);
    }
}

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

use portrait_learning::prediction::recommend::{HoldoutExample, Recommender, ScoreWeights};
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
    pub(super) fn fit(
        recommender: &Recommender,
        weights: &ScoreWeights,
        examples: &[HoldoutExample],
    ) -> Option<Self> {
        let every = examples.len().div_ceil(EXAMPLES_MAX).max(1);
        let scored: Vec<ScoredExample> = examples
            .par_iter()
            .step_by(every)
            .map(|example| {
                let mut scores = Vec::new();
                recommender.score(&example.history, Some(weights), &mut scores);
                ScoredExample { scores, next: example.next as usize }
            })
            .collect();
        let scale =
            scored.iter().map(|example| spread(&example.scores)).sum::<f64>() / scored.len().max(1) as f64;
        if !(scale.is_finite() && scale > 0.0) {
            return None;
        }
        // A grid over the exponent and the floor; within a cell the power is a convex problem of its own.
        let mut best: Option<(Self, f64)> = None;
        for user_scale_share in BLEND_STEPS {
            for floor in FLOORS {
                let model = Self { scale, user_scale_share, floor, power: 1.0 };
                let logs: Vec<Vec<f64>> =
                    scored.par_iter().map(|example| model.logs(&example.scores)).collect();
                let power = power(&scored, &logs);
                let loss = mean(&scored, &logs, |logs, next| -log_share(logs, next, power));
                if best.is_none_or(|(_, min): (Self, f64)| loss.total_cmp(&min).is_lt()) {
                    best = Some((Self { power, ..model }, loss));
                }
            }
        }
        best.map(|(model, _)| model)
    }

    /// Logarithm of each strength before it is raised to the power.
    fn logs(&self, scores: &[f32]) -> Vec<f64> {
        let (min, _) = bounds(scores);
        // A user whose scores are all equal has no scale: a millionth of the mean keeps the division finite.
        let user_scale = spread(scores).max(self.scale * 1e-6);
        let scale = self.scale.powf(1.0 - self.user_scale_share) * user_scale.powf(self.user_scale_share);
        scores.iter().map(|score| (f64::from(score - min) / scale + self.floor).ln()).collect()
    }

    /// Evaluates the scores for `item`, of which the top `within` count as a hit.
    pub(super) fn evaluate(&self, scores: &[f32], item: u32, within: usize) -> RankedLoss {
        let logs = self.logs(scores);
        let mut strengths: Vec<f64> = logs.iter().map(|log| (self.power * log).exp()).collect();
        let total: f64 = strengths.iter().sum();
        let strength = strengths.get(item as usize).copied().unwrap_or_default();
        if strengths.len() > within {
            // Only the sum of the top is needed: selection is linear where a sort is not.
            strengths.select_nth_unstable_by(within, |a, b| b.total_cmp(a));
            strengths.truncate(within);
        }
        let hit_probability = (strengths.iter().sum::<f64>() / total).min(1.0);
        RankedLoss { loss: -(strength / total).ln(), hit_probability }
    }
}

fn bounds(scores: &[f32]) -> (f32, f32) {
    scores
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(min, max), score| (min.min(*score), max.max(*score)))
}

fn spread(scores: &[f32]) -> f64 {
    let (min, max) = bounds(scores);
    f64::from(max - min)
}

fn log_share(logs: &[f64], next: usize, power: f64) -> f64 {
    let total: f64 = logs.iter().map(|log| (power * log).exp()).sum();
    power * logs[next] - total.ln()
}

/// Power that minimises the mean loss, by bisection on its slope. The loss is convex in the power; the slope is the
/// expected log-strength less that of the item that followed.
fn power(scored: &[ScoredExample], logs: &[Vec<f64>]) -> f64 {
    let (mut low, mut high) = POWERS;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        let slope = mean(scored, logs, |logs, next| expected_log(logs, middle) - logs[next]);
        if slope < 0.0 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// Expected log-strength under the probabilities of a power.
fn expected_log(logs: &[f64], power: f64) -> f64 {
    let mut total = 0.0;
    let mut weighted = 0.0;
    for log in logs {
        let strength = (power * log).exp();
        total += strength;
        weighted += strength * log;
    }
    weighted / total
}

/// Mean over the examples, summed in their order so that it is equal on every machine.
fn mean(scored: &[ScoredExample], logs: &[Vec<f64>], of: impl Fn(&[f64], usize) -> f64 + Sync) -> f64 {
    let losses: Vec<f64> =
        scored.par_iter().zip(logs).map(|(example, logs)| of(logs, example.next)).collect();
    losses.iter().sum::<f64>() / losses.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples with the same scores, of which item `j` follows `counts[j]` times.
    fn scored(scores: &[f32], counts: &[usize]) -> Vec<ScoredExample> {
        let example = |next: usize| ScoredExample { scores: scores.to_vec(), next };
        counts
            .iter()
            .enumerate()
            .flat_map(|(next, counts)| (0..*counts).map(move |_| example(next)))
            .collect()
    }

    #[test]
    fn the_fitted_power_recovers_the_one_that_generated_the_examples() {
        // Strengths of 1, 2 and 4 times the floor, chosen in proportion to their squares.
        let scored = scored(&[0.0, 1.0, 3.0], &[100, 400, 1_600]);
        let model = ProbabilityModel { scale: 1.0, user_scale_share: 0.0, floor: 1.0, power: 1.0 };
        let logs: Vec<Vec<f64>> = scored.iter().map(|example| model.logs(&example.scores)).collect();
        let fitted = power(&scored, &logs);
        assert!((fitted - 2.0).abs() < 0.02, "{fitted}");
    }

    #[test]
    fn probabilities_sum_to_one_and_top_mass_follows_the_scores() {
        let model = ProbabilityModel { scale: 1.0, user_scale_share: 0.0, floor: 1.0, power: 2.0 };
        let scores = [0.0, 1.0, 3.0];
        let predictions: Vec<RankedLoss> = (0..3).map(|item| model.evaluate(&scores, item, 1)).collect();
        let sum: f64 = predictions.iter().map(|prediction| (-prediction.loss).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{predictions:?}");
        assert!(
            predictions.iter().all(|prediction| (prediction.hit_probability - 16.0 / 21.0).abs() < 1e-12),
            "{predictions:?}"
        );
        assert!((model.evaluate(&scores, 0, 3).hit_probability - 1.0).abs() < 1e-12);
    }
}

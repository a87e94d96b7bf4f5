//! Figures from outcomes: recall, NDCG, log-loss and calibration of each contender, and the gain of live over stale,
//! with intervals.

use super::figures::{
    AgeFigures, ConfidenceInterval, LiveStaleComparison, PartFigures, Reliability, UserPair, compare, mean,
};
use super::measure::EvalOutcome;
use super::staleness::Staleness;
use portrait_learning::evaluation::calibration_error;

/// Groups of the reliability diagram, of about equal size.
const GROUPS: usize = 10;

/// Computes figures from outcomes.
pub(super) struct Evaluator<'a> {
    /// User of each target.
    pub(super) users: &'a [u32],
    /// True for targets that the user had interacted with before.
    pub(super) repeats: &'a [bool],
    /// Number of top ranks that count as a hit.
    pub(super) within: f64,
    pub(super) seed: u64,
}

/// Target with its predicted probability of a hit and its outcome.
struct PredictedHit {
    probability: f64,
    user: u32,
    /// 1 for a hit, 0 otherwise.
    hit: f64,
}

impl Evaluator<'_> {
    /// Figures of the contender at `index`, whose profiles have one age.
    pub(super) fn age(
        &self,
        age: Staleness,
        index: usize,
        outcomes: &[Vec<EvalOutcome>],
        control: &[Vec<EvalOutcome>],
    ) -> AgeFigures {
        // Live is not compared with itself, and an empty profile says nothing about staleness.
        let stale = |rows: &[Vec<EvalOutcome>], wanted: fn(bool) -> bool| -> Option<LiveStaleComparison> {
            (index > 0)
                .then(|| self.compare(index, rows, |outcome, repeat| outcome.known && wanted(repeat)))
                .flatten()
        };
        let known = outcomes.iter().filter(|row| row[index].known).count();
        AgeFigures {
            age: age.name(),
            recall: self.recall(index, outcomes),
            ndcg: self.ndcg(index, outcomes),
            log_loss: self.log_loss(index, outcomes),
            calibration_error: self.calibration_error(index, outcomes),
            known: known as f64 / outcomes.len() as f64,
            matched: stale(outcomes, |_| true),
            new: stale(outcomes, |repeat| !repeat),
            repeat: stale(outcomes, |repeat| repeat),
            // The control has no split into new and repeated items: shuffling changes which ones are repeated.
            control: stale(control, |_| true),
        }
    }

    /// Figures of the contender at `index`, compared with the served one.
    pub(super) fn part(
        &self,
        name: &'static str,
        index: usize,
        outcomes: &[Vec<EvalOutcome>],
    ) -> PartFigures {
        PartFigures {
            name,
            recall: self.recall(index, outcomes),
            ndcg: self.ndcg(index, outcomes),
            served_less_this: self.compare(index, outcomes, |_, _| true).map(|compared| compared.difference),
            new: self.compare(index, outcomes, |_, repeat| !repeat),
            repeat: self.compare(index, outcomes, |_, repeat| repeat),
        }
    }

    /// Compares the first contender with the one at `index`, on targets that `wanted` selects by the outcome at
    /// `index` and by whether the item is a repeat.
    fn compare(
        &self,
        index: usize,
        outcomes: &[Vec<EvalOutcome>],
        wanted: impl Fn(&EvalOutcome, bool) -> bool,
    ) -> Option<LiveStaleComparison> {
        let mut pairs = Vec::new();
        for ((row, user), repeat) in outcomes.iter().zip(self.users).zip(self.repeats) {
            if wanted(&row[index], *repeat) {
                pairs.push(UserPair { user: *user, live: self.hits(row[0]), stale: self.hits(row[index]) });
            }
        }
        compare(&pairs, self.seed)
    }

    /// Observed hits in groups of targets by the predicted probability of the contender at `index`.
    pub(super) fn calibration(&self, index: usize, outcomes: &[Vec<EvalOutcome>]) -> Vec<Reliability> {
        let mut hits: Vec<PredictedHit> = outcomes
            .iter()
            .zip(self.users)
            .filter_map(|(row, user)| {
                let probability = row[index].prediction?.hit_probability;
                Some(PredictedHit { probability, user: *user, hit: self.hits(row[index]) })
            })
            .collect();
        hits.sort_by(|a, b| a.probability.total_cmp(&b.probability));
        // Groups of equal size: bins of equal width would leave some of them nearly empty.
        hits.chunks(hits.len().div_ceil(GROUPS).max(1))
            .map(|group| Reliability {
                predicted: group.iter().map(|hit| hit.probability).sum::<f64>() / group.len() as f64,
                observed: mean(group.iter().map(|hit| (hit.user, hit.hit)), self.seed),
                targets: group.len(),
            })
            .collect()
    }

    fn calibration_error(&self, index: usize, outcomes: &[Vec<EvalOutcome>]) -> Option<f64> {
        let mut hits = Vec::with_capacity(outcomes.len());
        let mut probabilities = Vec::with_capacity(outcomes.len());
        for row in outcomes {
            // A single missing probability makes the error undefined: the contender has no mapping.
            hits.push(row[index].rank < self.within);
            probabilities.push(row[index].prediction?.hit_probability);
        }
        Some(calibration_error(&hits, &probabilities))
    }

    fn log_loss(&self, index: usize, outcomes: &[Vec<EvalOutcome>]) -> Option<ConfidenceInterval> {
        let losses: Option<Vec<f64>> =
            outcomes.iter().map(|row| row[index].prediction.map(|prediction| prediction.loss)).collect();
        Some(mean(self.users.iter().copied().zip(losses?), self.seed))
    }

    fn recall(&self, index: usize, outcomes: &[Vec<EvalOutcome>]) -> ConfidenceInterval {
        mean(self.users.iter().copied().zip(outcomes.iter().map(|row| self.hits(row[index]))), self.seed)
    }

    /// NDCG with one relevant item: `1 / log2(2 + rank)` for a hit, 0 otherwise (Järvelin and Kekäläinen 2002).
    fn ndcg(&self, index: usize, outcomes: &[Vec<EvalOutcome>]) -> f64 {
        let gains = outcomes.iter().map(|row| self.hits(row[index]) / (2.0 + row[index].rank).log2());
        // A target whose item is unknown has an infinite rank, and 0 / infinity is a gain of 0.
        gains.filter(|gain| gain.is_finite()).sum::<f64>() / outcomes.len() as f64
    }

    fn hits(&self, outcome: EvalOutcome) -> f64 {
        f64::from(u8::from(outcome.rank < self.within))
    }
}

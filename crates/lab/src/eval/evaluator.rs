//! Figures from outcomes: recall, NDCG, log-loss and calibration of each contender, and the gain of live over stale,
//! with intervals.

use super::figures::{AgeFigures, LiveStaleComparison, ConfidenceInterval, UserPair, PartFigures, Reliability, compare, mean};
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

impl Evaluator<'_> {
    /// Figures of the contender at `index`, whose profiles have one age.
    pub(super) fn age(
        &self,
        age: Staleness,
        index: usize,
        found: &[Vec<EvalOutcome>],
        control: &[Vec<EvalOutcome>],
    ) -> AgeFigures {
        let stale = |which: &dyn Fn(bool) -> bool, outcomes: &[Vec<EvalOutcome>]| -> Option<LiveStaleComparison> {
            let matched = |outcome: &EvalOutcome, again: bool| outcome.known && which(again);
            (index > 0).then(|| self.compare(index, outcomes, matched)).flatten()
        };
        let known = found.iter().filter(|row| row[index].known).count();
        AgeFigures {
            age: age.name(),
            recall: self.recall(index, found),
            ndcg: self.ndcg(index, found),
            log_loss: self.log_loss(index, found),
            calibration_error: self.calibration_error(index, found),
            known: known as f64 / found.len() as f64,
            matched: stale(&|_| true, found),
            new: stale(&|again| !again, found),
            repeat: stale(&|again| again, found),
            // The control has no split into new and repeated items: shuffling changes which ones are repeated.
            control: stale(&|_| true, control),
        }
    }

    /// Figures of the contender at `index`, compared with the served one.
    pub(super) fn part(&self, name: &'static str, index: usize, found: &[Vec<EvalOutcome>]) -> PartFigures {
        let beside = |which: &dyn Fn(bool) -> bool| self.compare(index, found, |_, again: bool| which(again));
        PartFigures {
            name,
            recall: self.recall(index, found),
            ndcg: self.ndcg(index, found),
            served_less_this: beside(&|_| true).map(|compared| compared.difference),
            new: beside(&|again| !again),
            repeat: beside(&|again| again),
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
        let rows = outcomes.iter().zip(self.users).zip(self.repeats);
        let rows = rows.filter(|((row, _), again)| wanted(&row[index], **again));
        let pair = |((row, shopper), _): ((&Vec<EvalOutcome>, &u32), &bool)| UserPair {
            user: *shopper,
            live: self.hits(row[0]),
            stale: self.hits(row[index]),
        };
        compare(&rows.map(pair).collect::<Vec<_>>(), self.seed)
    }

    /// Observed hits in groups of targets by the predicted probability of the contender at `index`.
    pub(super) fn calibration(&self, index: usize, found: &[Vec<EvalOutcome>]) -> Vec<Reliability> {
        let told = found.iter().zip(self.users).filter_map(|(row, shopper)| {
            Some((row[index].prediction?.hit_probability, *shopper, self.hits(row[index])))
        });
        let mut told: Vec<(f64, u32, f64)> = told.collect();
        told.sort_by(|one, other| one.0.total_cmp(&other.0));
        let group = |group: &[(f64, u32, f64)]| Reliability {
            predicted: group.iter().map(|(told, ..)| told).sum::<f64>() / group.len() as f64,
            observed: mean(group.iter().map(|(_, shopper, found)| (*shopper, *found)), self.seed),
            targets: group.len(),
        };
        told.chunks(told.len().div_ceil(GROUPS).max(1)).map(group).collect()
    }

    fn calibration_error(&self, index: usize, found: &[Vec<EvalOutcome>]) -> Option<f64> {
        let told = found.iter().map(|row| {
            let outcome = row[index];
            Some((outcome.rank < self.within, outcome.prediction?.hit_probability))
        });
        let (found, told): (Vec<bool>, Vec<f64>) = told.collect::<Option<Vec<_>>>()?.into_iter().unzip();
        Some(calibration_error(&found, &told))
    }

    fn log_loss(&self, index: usize, found: &[Vec<EvalOutcome>]) -> Option<ConfidenceInterval> {
        let losses: Option<Vec<f64>> =
            found.iter().map(|row| row[index].prediction.map(|told| told.loss)).collect();
        Some(mean(self.users.iter().copied().zip(losses?), self.seed))
    }

    fn recall(&self, index: usize, found: &[Vec<EvalOutcome>]) -> ConfidenceInterval {
        mean(self.users.iter().copied().zip(found.iter().map(|row| self.hits(row[index]))), self.seed)
    }

    /// NDCG with one relevant item: `1 / log2(2 + rank)` for a hit, 0 otherwise (Järvelin and Kekäläinen 2002).
    fn ndcg(&self, index: usize, found: &[Vec<EvalOutcome>]) -> f64 {
        let gain = |row: &Vec<EvalOutcome>| self.hits(row[index]) / (2.0 + row[index].rank).log2();
        found.iter().map(gain).filter(|gain| gain.is_finite()).sum::<f64>() / found.len() as f64
    }

    fn hits(&self, outcome: EvalOutcome) -> f64 {
        f64::from(u8::from(outcome.rank < self.within))
    }
}

//! Figures of outcomes: in go the places at which things were ranked and what was said of them, out go recall, loss, calibration and
//! what live gains over stale, each with its interval.

use super::figures::{AgeFigures, Compared, Interval, Pair, PartFigures, Reliability, compared, mean};
use super::measure::Outcome;
use super::staleness::Staleness;
use portrait_learning::evaluation::calibration_error;

/// Groups of targets of which about the same was told, of about as many each.
const GROUPS: usize = 10;

/// What makes figures of outcomes.
pub(super) struct Judge<'a> {
    /// Whose each target is.
    pub(super) whose: &'a [u32],
    /// Whether the shopper had had it.
    pub(super) again: &'a [bool],
    /// Among how many first ones it counts as found.
    pub(super) within: f64,
    pub(super) seed: u64,
}

impl Judge<'_> {
    /// A profile of one age, of the contender at `index`.
    pub(super) fn age(
        &self,
        age: Staleness,
        index: usize,
        found: &[Vec<Outcome>],
        control: &[Vec<Outcome>],
    ) -> AgeFigures {
        let stale = |which: &dyn Fn(bool) -> bool, outcomes: &[Vec<Outcome>]| -> Option<Compared> {
            let matched = |outcome: &Outcome, again: bool| outcome.known && which(again);
            (index > 0).then(|| self.beside(index, outcomes, matched)).flatten()
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
            again: stale(&|again| again, found),
            // Which things are new is not dealt anew with them.
            control: stale(&|_| true, control),
        }
    }

    /// A way of its own, of the contender at `index`, beside what is served.
    pub(super) fn part(&self, name: &'static str, index: usize, found: &[Vec<Outcome>]) -> PartFigures {
        let beside = |which: &dyn Fn(bool) -> bool| self.beside(index, found, |_, again: bool| which(again));
        PartFigures {
            name,
            recall: self.recall(index, found),
            ndcg: self.ndcg(index, found),
            served_less_this: beside(&|_| true).map(|compared| compared.difference),
            new: beside(&|again| !again),
            again: beside(&|again| again),
        }
    }

    /// The first contender beside the one at `index`, where what that did, and whether the thing was had before, is `wanted`.
    fn beside(
        &self,
        index: usize,
        outcomes: &[Vec<Outcome>],
        wanted: impl Fn(&Outcome, bool) -> bool,
    ) -> Option<Compared> {
        let rows = outcomes.iter().zip(self.whose).zip(self.again);
        let rows = rows.filter(|((row, _), again)| wanted(&row[index], **again));
        let pair = |((row, shopper), _): ((&Vec<Outcome>, &u32), &bool)| Pair {
            shopper: *shopper,
            live: self.found(row[0]),
            stale: self.found(row[index]),
        };
        compared(&rows.map(pair).collect::<Vec<_>>(), self.seed)
    }

    /// How often things were among the first, by what the contender at `index` had said of it.
    pub(super) fn calibration(&self, index: usize, found: &[Vec<Outcome>]) -> Vec<Reliability> {
        let told = found.iter().zip(self.whose).filter_map(|(row, shopper)| {
            Some((row[index].told?.among_first, *shopper, self.found(row[index])))
        });
        let mut told: Vec<(f64, u32, f64)> = told.collect();
        told.sort_by(|one, other| one.0.total_cmp(&other.0));
        let group = |group: &[(f64, u32, f64)]| Reliability {
            told: group.iter().map(|(told, ..)| told).sum::<f64>() / group.len() as f64,
            found: mean(group.iter().map(|(_, shopper, found)| (*shopper, *found)), self.seed),
            targets: group.len(),
        };
        told.chunks(told.len().div_ceil(GROUPS).max(1)).map(group).collect()
    }

    fn calibration_error(&self, index: usize, found: &[Vec<Outcome>]) -> Option<f64> {
        let told = found.iter().map(|row| {
            let outcome = row[index];
            Some((outcome.place < self.within, outcome.told?.among_first))
        });
        let (found, told): (Vec<bool>, Vec<f64>) = told.collect::<Option<Vec<_>>>()?.into_iter().unzip();
        Some(calibration_error(&found, &told))
    }

    fn log_loss(&self, index: usize, found: &[Vec<Outcome>]) -> Option<Interval> {
        let losses: Option<Vec<f64>> =
            found.iter().map(|row| row[index].told.map(|told| told.loss)).collect();
        Some(mean(self.whose.iter().copied().zip(losses?), self.seed))
    }

    fn recall(&self, index: usize, found: &[Vec<Outcome>]) -> Interval {
        mean(self.whose.iter().copied().zip(found.iter().map(|row| self.found(row[index]))), self.seed)
    }

    /// Of one right thing: `1 / log2(2 + place)` where it is found.
    fn ndcg(&self, index: usize, found: &[Vec<Outcome>]) -> f64 {
        let gain = |row: &Vec<Outcome>| self.found(row[index]) / (2.0 + row[index].place).log2();
        found.iter().map(gain).filter(|gain| gain.is_finite()).sum::<f64>() / found.len() as f64
    }

    fn found(&self, outcome: Outcome) -> f64 {
        f64::from(u8::from(outcome.place < self.within))
    }
}

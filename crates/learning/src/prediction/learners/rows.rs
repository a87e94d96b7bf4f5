//! Training rows with labels and weights, and their checks.

use crate::error::Error;
use ndarray::{ArrayView2, Axis};

/// Rows (`n x d`) with a label and a weight each.
#[derive(Clone, Copy)]
pub(super) struct LabelledRows<'a> {
    pub(super) values: ArrayView2<'a, f32>,
    pub(super) labels: &'a [bool],
    pub(super) weights: &'a [f32],
}

/// Summed weights of rows.
#[derive(Clone, Copy, Default)]
pub(super) struct LabelWeights {
    pub(super) positive: f64,
    pub(super) total: f64,
}

impl LabelWeights {
    pub(super) fn add(&mut self, label: bool, weight: f32) {
        let weight = f64::from(weight);
        self.positive += if label { weight } else { 0.0 };
        self.total += weight;
    }
}

impl<'a> LabelledRows<'a> {
    pub(super) fn slice(&self, start: usize, end: usize) -> Self {
        Self {
            values: self.values.split_at(Axis(0), end).0.split_at(Axis(0), start).1,
            labels: &self.labels[start..end],
            weights: &self.weights[start..end],
        }
    }

    pub(super) fn count(&self) -> usize {
        self.labels.len()
    }

    /// Weights of the positive rows and of all rows.
    pub(super) fn label_weights(&self) -> LabelWeights {
        let mut sums = LabelWeights::default();
        for (label, weight) in self.labels.iter().zip(self.weights) {
            sums.add(*label, *weight);
        }
        sums
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        for (what, found) in [("labels", self.labels.len()), ("weights", self.weights.len())] {
            if found != self.values.nrows() {
                return Err(Error::Width { what, found, expected: self.values.nrows() });
            }
        }
        if self.values.ncols() == 0 {
            return Err(Error::Width { what: "rows", found: 0, expected: 1 });
        }
        if let Some(((row, column), _)) = self.values.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::NotFinite { row, column });
        }
        if let Some(row) = self.weights.iter().position(|weight| !(weight.is_finite() && *weight > 0.0)) {
            let problem = format!("have one that is not above 0, row {row}");
            return Err(Error::parameter("weights", problem));
        }
        Ok(())
    }

    /// Checks that both labels occur at least 5 times.
    pub(super) fn check_both_labels(&self) -> Result<(), Error> {
        // With fewer, single rows would decide between the learners.
        const OUTCOMES_MIN: usize = 5;
        let positives = self.labels.iter().filter(|label| **label).count();
        let rows = positives.min(self.count() - positives);
        if rows < OUTCOMES_MIN { Err(Error::TooFew { rows, needed: OUTCOMES_MIN }) } else { Ok(()) }
    }
}

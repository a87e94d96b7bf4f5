//! Rows to learn from, with a label and a weight each, and the checks that they pass before anything is learned.

use crate::error::Error;
use ndarray::{ArrayView2, Axis};

/// Rows to learn from, checked.
#[derive(Clone, Copy)]
pub(super) struct LabelledRows<'a> {
    pub(super) values: ArrayView2<'a, f32>,
    pub(super) labels: &'a [bool],
    pub(super) weights: &'a [f32],
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

    /// The weight of what happened, and of all.
    pub(super) fn totals(&self) -> (f64, f64) {
        self.labels.iter().zip(self.weights).fold((0.0, 0.0), |(happened, all), (label, weight)| {
            (happened + if *label { f64::from(*weight) } else { 0.0 }, all + f64::from(*weight))
        })
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
            return Err(Error::Parameter { parameter: "weights", problem });
        }
        Ok(())
    }

    /// That both outcomes are there, a few times each.
    pub(super) fn both(&self) -> Result<(), Error> {
        const OUTCOMES_MIN: usize = 5;
        let happened = self.labels.iter().filter(|label| **label).count();
        let rows = happened.min(self.count() - happened);
        if rows < OUTCOMES_MIN { Err(Error::TooFew { rows, needed: OUTCOMES_MIN }) } else { Ok(()) }
    }
}

//! Columns in standard deviations from their mean. In come rows; out go the same rows of mean 0 and deviation 1. A column that does
//! not vary becomes 0.

use super::rows::LabelledRows;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

/// A standardised value is never further from 0: one row must not outweigh all others.
const Z_MAX: f64 = 10.0;

/// By column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Standardizer {
    means: Vec<f64>,
    /// 0 for a column that does not vary.
    deviations: Vec<f64>,
}

impl Standardizer {
    pub(super) fn fit(rows: LabelledRows) -> Self {
        let (_, total) = rows.totals();
        let weights: Array1<f64> = rows.weights.iter().map(|weight| f64::from(*weight) / total).collect();
        let column = |column: ArrayView1<f32>| {
            let values = column.mapv(f64::from);
            let mean = values.dot(&weights);
            let variance = values.mapv(|value| (value - mean).powi(2)).dot(&weights);
            let deviation = variance.sqrt();
            (mean, if deviation > 1e-9 * mean.abs().max(1e-6) { deviation } else { 0.0 })
        };
        let (means, deviations) = rows.values.columns().into_iter().map(column).unzip();
        Self { means, deviations }
    }

    pub(super) fn row(&self, row: ArrayView1<f32>) -> Array1<f64> {
        let standard = |((value, mean), deviation): ((&f32, &f64), &f64)| {
            let far = f64::from(*value) - mean;
            if *deviation > 0.0 { (far / deviation).clamp(-Z_MAX, Z_MAX) } else { 0.0 }
        };
        row.iter().zip(&self.means).zip(&self.deviations).map(standard).collect()
    }

    pub(super) fn rows(&self, values: ArrayView2<f32>) -> Array2<f64> {
        let mut standard = Array2::zeros(values.dim());
        for (mut into, row) in standard.outer_iter_mut().zip(values.outer_iter()) {
            into.assign(&self.row(row));
        }
        standard
    }

    /// Whether it is one of `columns` columns; what was read from outside may not be.
    pub(super) fn is_sound(&self, columns: usize) -> bool {
        let sized = self.means.len() == columns && self.deviations.len() == columns;
        sized
            && self.means.iter().all(|mean| mean.is_finite())
            && self.deviations.iter().all(|one| one.is_finite() && *one >= 0.0)
    }
}

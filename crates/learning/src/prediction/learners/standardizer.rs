//! Standardisation of columns to mean 0 and deviation 1. A constant column becomes 0.

use super::rows::LabelledRows;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

/// Bound of standardised values: one extreme row must not outweigh all others.
const Z_MAX: f64 = 10.0;

/// Means and deviations by column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Standardizer {
    means: Vec<f64>,
    /// Standard deviations; 0 for a constant column.
    deviations: Vec<f64>,
}

impl Standardizer {
    /// Learns weighted means and deviations.
    pub(super) fn fit(rows: LabelledRows) -> Self {
        let total = rows.label_weights().total;
        let weights: Array1<f64> = rows.weights.iter().map(|weight| f64::from(*weight) / total).collect();
        let mut means = Vec::with_capacity(rows.values.ncols());
        let mut deviations = Vec::with_capacity(rows.values.ncols());
        for column in rows.values.columns() {
            let values = column.mapv(f64::from);
            let mean = values.dot(&weights);
            // From differences to the mean: the difference of two sums of squares would cancel digits of
            // large amounts.
            let variance = values.mapv(|value| (value - mean).powi(2)).dot(&weights);
            let deviation = variance.sqrt();
            means.push(mean);
            // A deviation from rounding alone would blow up noise.
            deviations.push(if deviation > 1e-9 * mean.abs().max(1e-6) { deviation } else { 0.0 });
        }
        Self { means, deviations }
    }

    pub(super) fn row(&self, row: ArrayView1<f32>) -> Array1<f64> {
        let columns = self.means.iter().zip(&self.deviations);
        row.iter()
            .zip(columns)
            .map(|(value, (mean, deviation))| {
                let difference = f64::from(*value) - mean;
                if *deviation > 0.0 { (difference / deviation).clamp(-Z_MAX, Z_MAX) } else { 0.0 }
            })
            .collect()
    }

    pub(super) fn rows(&self, values: ArrayView2<f32>) -> Array2<f64> {
        let mut standard = Array2::zeros(values.dim());
        for (mut into, row) in standard.outer_iter_mut().zip(values.outer_iter()) {
            into.assign(&self.row(row));
        }
        standard
    }

    /// Checks the width and that all numbers are finite, which decoded bytes do not guarantee.
    pub(super) fn is_sound(&self, columns: usize) -> bool {
        let sized = self.means.len() == columns && self.deviations.len() == columns;
        sized
            && self.means.iter().all(|mean| mean.is_finite())
            && self.deviations.iter().all(|one| one.is_finite() && *one >= 0.0)
    }
}

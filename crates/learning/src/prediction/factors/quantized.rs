//! Item vectors quantized to int8, for a first pass over all items. Scoring is memory-bound; int8 rows quarter the traffic. Scores come
//! with error bounds, so that only candidates within the bounds are scored in f32.
//!
//! Axes differ in scale: in the first one all items may be nearly equal, in the last ones nearly zero. So numbers are standardised per
//! axis with its mean `m` and deviation `s`, then stored as multiples, -127 to 127, of a step of the row. The residual `r` of a row
//! changes the score of a user vector `x` by at most `|r| |s x|` (Cauchy and Schwarz). The user vector is quantized to 16 bits; its
//! residual is bounded by the length of the longest possible row.

use ndarray::{ArrayView1, ArrayView2, Axis};
use pulp::{Arch, Simd, WithSimd};

/// Largest multiple of a row's step (int8).
const QUANTIZATION_LEVELS: f32 = 127.0;
/// Row lengths are multiples of this number of lanes.
const LANES: usize = 16;
/// Allowance for the rounding of f32 sums, as a share of the summed terms.
const ROUNDING_ERROR_MAX: f32 = 1e-5;

/// Item vectors in int8, `n x width`, with a step and a residual per row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct QuantizedItems {
    /// Multiples, row-major, each row padded to [`LANES`].
    multiples: Vec<i8>,
    width: usize,
    means: Vec<f32>,
    deviations: Vec<f32>,
    steps: Vec<f32>,
    /// Euclidean length of the residual of each row.
    residuals: Vec<f32>,
}

/// Vector as whole multiples of a step.
struct QuantizedRow {
    multiples: Vec<f32>,
    step: f32,
    /// Euclidean length of the residual.
    residual: f32,
}

impl QuantizedItems {
    /// Quantizes item vectors, `n x d`.
    pub(super) fn quantize(items: ArrayView2<'_, f32>) -> Self {
        let width = items.ncols().next_multiple_of(LANES);
        let means: Vec<f32> = items.axis_iter(Axis(1)).map(|axis| axis.mean().unwrap_or_default()).collect();
        // A constant axis gets a tiny deviation instead of a division by zero.
        let deviations: Vec<f32> = items
            .axis_iter(Axis(1))
            .map(|axis: ArrayView1<'_, f32>| axis.std(0.0).max(f32::MIN_POSITIVE.sqrt()))
            .collect();
        let mut multiples = Vec::with_capacity(items.nrows() * width);
        let mut steps = Vec::new();
        let mut residuals = Vec::new();
        for row in items.outer_iter() {
            let row: Vec<f32> =
                row.iter().zip(&means).zip(&deviations).map(|((value, m), s)| (value - m) / s).collect();
            let quantized = QuantizedRow::quantize(&row, QUANTIZATION_LEVELS);
            multiples.extend(quantized.multiples.iter().map(|multiple| *multiple as i8));
            multiples.extend(std::iter::repeat_n(0, width - row.len()));
            residuals.push(quantized.residual);
            steps.push(quantized.step);
        }
        Self { multiples, width, means, deviations, steps, residuals }
    }

    /// Approximate scores of all items for a user vector, and the error bound of each.
    pub(super) fn scores(&self, user: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let scaled = self.scaled(user);
        // Products of int8 and int16 are summed in i32: their sum must stay below 2^31.
        let level_max =
            (i32::MAX as f32 / (QUANTIZATION_LEVELS * self.width.max(1) as f32)).min(i16::MAX.into()).floor();
        let quantized = QuantizedRow::quantize(&scaled, level_max);
        let mut multiples: Vec<i16> = quantized.multiples.iter().map(|multiple| *multiple as i16).collect();
        multiples.resize(self.width, 0);
        // The product with the means stays in f32: only the differences to them are quantized.
        let common = user.iter().zip(&self.means).map(|(value, mean)| value * mean).sum();
        let mut scores = vec![0.0; self.steps.len()];
        let step = quantized.step;
        Arch::new().dispatch(QuantizedProducts {
            items: self,
            user: &multiples,
            step,
            common,
            scores: &mut scores,
        });
        // The longest possible row consists of the largest multiples only.
        let longest = QUANTIZATION_LEVELS * (self.width as f32).sqrt();
        let user_length = length(&scaled);
        let user_error = longest * quantized.residual;
        // The part that is not quantized, the product with the means, is a rounded sum, too.
        let rounding = ROUNDING_ERROR_MAX * length(user) * length(&self.means);
        let error_bounds = self
            .residuals
            .iter()
            .zip(&self.steps)
            .map(|(residual, step)| residual * user_length + step * user_error + rounding)
            .collect();
        (scores, error_bounds)
    }

    fn scaled(&self, user: &[f32]) -> Vec<f32> {
        user.iter().zip(&self.deviations).map(|(value, deviation)| value * deviation).collect()
    }
}

impl QuantizedRow {
    /// Quantizes numbers so that the largest one has `level_max` steps.
    fn quantize(values: &[f32], level_max: f32) -> Self {
        let largest = values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        // A row of zeros would be divided by a step of 0.
        let step = (largest / level_max).max(f32::MIN_POSITIVE);
        let multiples: Vec<f32> = values.iter().map(|value| (value / step).round()).collect();
        let squares =
            values.iter().zip(&multiples).map(|(value, multiple)| (value - multiple * step).powi(2));
        // The residual is itself a rounded sum; a bound below the true one could lose the best item.
        let residual = squares.sum::<f32>().sqrt() + ROUNDING_ERROR_MAX * length(values);
        Self { multiples, step, residual }
    }
}

fn length(values: &[f32]) -> f32 {
    values.iter().map(|value| value * value).sum::<f32>().sqrt()
}

/// Products of all rows with one user vector, in the widest registers of the machine. Integer sums do not depend on their order.
struct QuantizedProducts<'a> {
    items: &'a QuantizedItems,
    user: &'a [i16],
    /// Value of one unit of a product, for a row whose step is 1.
    step: f32,
    /// Part of the score that all items share: the product with the means.
    common: f32,
    scores: &'a mut [f32],
}

impl WithSimd for QuantizedProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.items.multiples.chunks_exact(self.items.width.max(1));
        // A plain loop: a closure passed to `extend` may become a function of its own, compiled for the oldest supported machine.
        for ((score, row), step) in self.scores.iter_mut().zip(rows).zip(&self.items.steps) {
            let products =
                row.iter().zip(self.user).map(|(left, right)| i32::from(*left) * i32::from(*right));
            *score = self.common + step * self.step * products.sum::<i32>() as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn an_approximate_score_is_within_its_error_bound() {
        for width in [1, 16, 24, 64] {
            let items = Array2::from_shape_fn((200, width), |(row, column)| {
                value(row, column) * 10_f32.powi(row as i32 % 7 - 3)
            });
            let quantized = QuantizedItems::quantize(items.view());
            let user: Vec<f32> = (0..width).map(|column| value(column, 3 * column + 1)).collect();
            let (scores, error_bounds) = quantized.scores(&user);
            assert_eq!((scores.len(), error_bounds.len()), (200, 200));
            let mut inexact = 0;
            for (row, item) in items.outer_iter().enumerate() {
                let exact: f64 = item.iter().zip(&user).map(|(left, right)| f64::from(left * right)).sum();
                let error = (f64::from(scores[row]) - exact).abs();
                assert!(error <= f64::from(error_bounds[row]) + 1e-12, "width {width}, row {row}: {error}");
                inexact += usize::from(error > 0.0);
            }
            assert!(width == 1 || inexact > 100, "no score was approximate");
        }
    }

    fn value(row: usize, column: usize) -> f32 {
        ((row * 37 + column * 11 + row * column) % 101) as f32 / 50.0 - 1.0
    }
}

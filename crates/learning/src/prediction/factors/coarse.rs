//! Item vectors in a quarter of their bytes, so that all of them can be looked at for every shopper: what is not in a cache near by is
//! waited for, and the numbers themselves are soon multiplied. In come vectors, out go scores that are near, and how near.
//!
//! Axes differ: in the first all items may be nearly the same, in the last ones nearly nothing. So numbers are taken from the mean of their
//! axis, `m`, and in its standard deviation, `s`; what is kept is a whole multiple, -127 to 127, of a step of the row. What is left over of a
//! row, `r`, can be worth no more to a taste `x` than `|r| |s x|` (Cauchy and Schwarz). A taste is rounded to whole multiples as well, of
//! two bytes; what is left over of it counts by the longest row there can be.

use ndarray::{ArrayView1, ArrayView2, Axis};
use pulp::{Arch, Simd, WithSimd};

/// The largest multiple of a step.
const STEPS: f32 = 127.0;
/// Rows are so many numbers long, or twice as many, and so on.
const LANES: usize = 16;
/// What rounding may add to what is left over, as a share of what was added up.
const ROUNDING: f32 = 1e-5;

/// Item vectors, coarsely.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Coarse {
    /// Row after row, each padded to [`LANES`].
    multiples: Vec<i8>,
    width: usize,
    means: Vec<f32>,
    deviations: Vec<f32>,
    steps: Vec<f32>,
    /// The length of what is left over of each row.
    rests: Vec<f32>,
}

/// A vector in whole multiples of a step.
struct Rounded {
    multiples: Vec<f32>,
    step: f32,
    /// The length of what is left over.
    rest: f32,
}

impl Coarse {
    /// Of vectors, a row an item.
    pub(super) fn of(items: ArrayView2<'_, f32>) -> Self {
        let width = items.ncols().next_multiple_of(LANES);
        let means: Vec<f32> = items.axis_iter(Axis(1)).map(|axis| axis.mean().unwrap_or_default()).collect();
        let deviation = |axis: ArrayView1<'_, f32>| axis.std(0.0).max(f32::MIN_POSITIVE.sqrt());
        let deviations: Vec<f32> = items.axis_iter(Axis(1)).map(deviation).collect();
        let mut multiples = Vec::with_capacity(items.nrows() * width);
        let (mut steps, mut rests) = (Vec::new(), Vec::new());
        for row in items.outer_iter() {
            let row: Vec<f32> =
                row.iter().zip(&means).zip(&deviations).map(|((one, m), s)| (one - m) / s).collect();
            let rounded = Rounded::of(&row, STEPS);
            multiples.extend(rounded.multiples.iter().map(|multiple| *multiple as i8));
            multiples.extend(std::iter::repeat_n(0, width - row.len()));
            rests.push(rounded.rest);
            steps.push(rounded.step);
        }
        Self { multiples, width, means, deviations, steps, rests }
    }

    /// About what each item is worth to a taste, and by how much each may be wrong.
    pub(super) fn scores(&self, taste: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let scaled = self.scaled(taste);
        // Their products add up to less than 2^31.
        let most = (i32::MAX as f32 / (STEPS * self.width.max(1) as f32)).min(i16::MAX.into()).floor();
        let rounded = Rounded::of(&scaled, most);
        let mut multiples: Vec<i16> = rounded.multiples.iter().map(|multiple| *multiple as i16).collect();
        multiples.resize(self.width, 0);
        let common = taste.iter().zip(&self.means).map(|(one, mean)| one * mean).sum();
        let mut scores = vec![0.0; self.steps.len()];
        let step = rounded.step;
        Arch::new().dispatch(Products { coarse: self, taste: &multiples, step, common, scores: &mut scores });
        // No row is longer than one of nothing but its largest multiples.
        let longest = STEPS * (self.width as f32).sqrt();
        let (length, left) = (length(&scaled), longest * rounded.rest);
        let rounding = ROUNDING * self::length(taste) * self::length(&self.means);
        let doubts =
            self.rests.iter().zip(&self.steps).map(|(rest, step)| rest * length + step * left + rounding);
        (scores, doubts.collect())
    }

    fn scaled(&self, taste: &[f32]) -> Vec<f32> {
        taste.iter().zip(&self.deviations).map(|(one, deviation)| one * deviation).collect()
    }
}

impl Rounded {
    /// Of numbers whose largest is to be `most` steps.
    fn of(values: &[f32], most: f32) -> Self {
        let largest = values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        let step = (largest / most).max(f32::MIN_POSITIVE);
        let multiples: Vec<f32> = values.iter().map(|value| (value / step).round()).collect();
        let left = values.iter().zip(&multiples).map(|(value, multiple)| (value - multiple * step).powi(2));
        let rest = left.sum::<f32>().sqrt() + ROUNDING * length(values);
        Self { multiples, step, rest }
    }
}

fn length(values: &[f32]) -> f32 {
    values.iter().map(|value| value * value).sum::<f32>().sqrt()
}

/// All rows by one taste, with the widest registers of the machine: whole numbers, which are added up in any order alike.
struct Products<'a> {
    coarse: &'a Coarse,
    taste: &'a [i16],
    /// What a product of a row's multiple and the taste's is worth, for a row whose step is 1.
    step: f32,
    /// What all are worth alike.
    common: f32,
    scores: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.coarse.multiples.chunks_exact(self.coarse.width.max(1));
        // A plain loop: what `extend` is given may become a function of its own, which is compiled for the oldest machine.
        for ((score, row), step) in self.scores.iter_mut().zip(rows).zip(&self.coarse.steps) {
            let products = row.iter().zip(self.taste).map(|(one, other)| i32::from(*one) * i32::from(*other));
            *score = self.common + step * self.step * products.sum::<i32>() as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn a_coarse_score_is_no_further_off_than_it_says() {
        for width in [1, 16, 24, 64] {
            let value = |row: usize, column: usize| {
                ((row * 37 + column * 11 + row * column) % 101) as f32 / 50.0 - 1.0
            };
            let items = Array2::from_shape_fn((200, width), |(row, column)| {
                value(row, column) * 10_f32.powi(row as i32 % 7 - 3)
            });
            let coarse = Coarse::of(items.view());
            let taste: Vec<f32> = (0..width).map(|column| value(column, 3 * column + 1)).collect();
            let (scores, doubts) = coarse.scores(&taste);
            assert_eq!((scores.len(), doubts.len()), (200, 200));
            let mut far = 0;
            for (row, item) in items.outer_iter().enumerate() {
                let exact: f64 = item.iter().zip(&taste).map(|(one, other)| f64::from(one * other)).sum();
                let off = (f64::from(scores[row]) - exact).abs();
                assert!(off <= f64::from(doubts[row]) + 1e-12, "width {width}, row {row}: {off}");
                far += usize::from(off > 0.0);
            }
            assert!(width == 1 || far > 100, "nothing was coarse");
        }
    }
}

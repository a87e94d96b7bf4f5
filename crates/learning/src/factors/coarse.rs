//! Item vectors in a quarter of their bytes, so that all of them can be looked at for every shopper: what is not in a cache near by is
//! waited for, and the numbers themselves are soon multiplied. In come vectors, out go scores that are near, and how near.
//!
//! Axes differ: in the first all items may be nearly the same, in the last ones nearly nothing. So numbers are taken from the mean of their
//! axis, `m`, and in its standard deviation, `s`; what is kept is a whole multiple, -127 to 127, of a step of the row. What is left over of a
//! row, `r`, can be worth no more to a taste `x` than `|r| |s x|` (Cauchy and Schwarz).

use ndarray::{ArrayView1, ArrayView2, Axis};
use pulp::{Arch, Simd, WithSimd};

/// The largest multiple of a step.
const STEPS: f32 = 127.0;
/// So many sums are made beside each other.
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
            let largest = row.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
            let step = (largest / STEPS).max(f32::MIN_POSITIVE);
            let rounded = row.iter().map(|value| (value / step).round());
            multiples.extend(rounded.clone().map(|multiple| multiple as i8));
            multiples.extend(std::iter::repeat_n(0, width - row.len()));
            let left = row.iter().zip(rounded).map(|(value, multiple)| (value - multiple * step).powi(2));
            rests.push(left.sum::<f32>().sqrt() + ROUNDING * length(&row));
            steps.push(step);
        }
        Self { multiples, width, means, deviations, steps, rests }
    }

    /// About what each item is worth to a taste.
    pub(super) fn scores(&self, taste: &[f32]) -> Vec<f32> {
        let mut padded = self.scaled(taste);
        padded.resize(self.width, 0.0);
        let common = taste.iter().zip(&self.means).map(|(one, mean)| one * mean).sum();
        let mut scores = Vec::with_capacity(self.steps.len());
        Arch::new().dispatch(Products { coarse: self, taste: &padded, common, scores: &mut scores });
        scores
    }

    /// By how much each score for a taste of this length may be wrong.
    pub(super) fn doubts(&self, taste: &[f32]) -> Vec<f32> {
        let length = length(&self.scaled(taste));
        let rounding = ROUNDING * self::length(taste) * self::length(&self.means);
        self.rests.iter().map(|rest| rest * length + rounding).collect()
    }

    fn scaled(&self, taste: &[f32]) -> Vec<f32> {
        taste.iter().zip(&self.deviations).map(|(one, deviation)| one * deviation).collect()
    }
}

fn length(values: &[f32]) -> f32 {
    values.iter().map(|value| value * value).sum::<f32>().sqrt()
}

/// All rows by one taste, with the widest registers of the machine.
struct Products<'a> {
    coarse: &'a Coarse,
    taste: &'a [f32],
    /// What all are worth alike.
    common: f32,
    scores: &'a mut Vec<f32>,
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.coarse.multiples.chunks_exact(self.coarse.width.max(1));
        self.scores.extend(rows.zip(&self.coarse.steps).map(|(row, step)| {
            let mut sums = [0.0_f32; LANES];
            for (multiples, taste) in row.chunks_exact(LANES).zip(self.taste.chunks_exact(LANES)) {
                for (sum, (multiple, taste)) in sums.iter_mut().zip(multiples.iter().zip(taste)) {
                    *sum += f32::from(*multiple) * taste;
                }
            }
            self.common + step * sums.iter().sum::<f32>()
        }));
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
            let (scores, doubts) = (coarse.scores(&taste), coarse.doubts(&taste));
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

//! Seeded random numbers: indices below a bound, and samples of rows with or without replacement. The same seed gives the same
//! numbers on every machine and with any number of threads.

use ndarray::{Array2, ArrayView2, Axis};
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

/// Random indices that follow from a seed (xoshiro256+), the same on every machine.
pub(crate) struct SeededRng(Xoshiro256Plus);

impl SeededRng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256Plus::seed_from_u64(seed))
    }

    /// Uniform index below `end`, which must be above 0 (Lemire, "Fast Random Integer Generation in an Interval", 2019, section 4,
    /// without the rejection step: the remaining bias is below `end / 2^64`).
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.0.next_u64()) * end as u128) >> 64) as usize
    }

    /// Samples `count` of `rows` (`n x d`) without replacement, in their original order; all rows if `n <= count`.
    pub(crate) fn sample(&mut self, rows: ArrayView2<f32>, count: usize) -> Array2<f32> {
        if rows.nrows() <= count {
            return rows.as_standard_layout().into_owned();
        }
        // Partial Fisher-Yates: only the first `count` swaps are needed.
        let mut indices: Vec<usize> = (0..rows.nrows()).collect();
        for index in 0..count {
            let other = index + self.below(indices.len() - index);
            indices.swap(index, other);
        }
        indices.truncate(count);
        // Row order decides the order of sums, so it must not depend on the draw.
        indices.sort_unstable();
        rows.select(Axis(0), &indices)
    }

    /// Samples as many rows as `rows` has, with replacement (bootstrap).
    pub(crate) fn resample(&mut self, rows: ArrayView2<f32>) -> Array2<f32> {
        let indices: Vec<usize> = (0..rows.nrows()).map(|_| self.below(rows.nrows())).collect();
        rows.select(Axis(0), &indices)
    }
}

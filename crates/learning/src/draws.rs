//! Random draws that follow from a seed. In comes a seed; out go indices and samples of rows, the same on every machine and with
//! any number of threads.

use ndarray::{Array2, ArrayView2, Axis};
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

/// Random places that follow from a seed, the same on every machine.
pub(crate) struct Draws(Xoshiro256Plus);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256Plus::seed_from_u64(seed))
    }

    /// A place below `end`, which is above 0 (Lemire, "Fast Random Integer Generation in an Interval", 2019; the bias of less
    /// than `end / 2^64` is left in).
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.0.next_u64()) * end as u128) >> 64) as usize
    }

    /// `count` of `rows` drawn without putting back, in their order; all of them if there are not more.
    pub(crate) fn sample(&mut self, rows: ArrayView2<f32>, count: usize) -> Array2<f32> {
        if rows.nrows() <= count {
            return rows.as_standard_layout().into_owned();
        }
        let mut places: Vec<usize> = (0..rows.nrows()).collect();
        for place in 0..count {
            let other = place + self.below(places.len() - place);
            places.swap(place, other);
        }
        places.truncate(count);
        places.sort_unstable();
        rows.select(Axis(0), &places)
    }

    /// As many of `rows` as there are, drawn with putting back.
    pub(crate) fn resample(&mut self, rows: ArrayView2<f32>) -> Array2<f32> {
        let places: Vec<usize> = (0..rows.nrows()).map(|_| self.below(rows.nrows())).collect();
        rows.select(Axis(0), &places)
    }
}

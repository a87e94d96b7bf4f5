//! Where Lloyd's algorithm starts. In come rows and a seed; out come centroids that k-means++ found on a sample of the rows,
//! the best of several starts. The k-means++ itself is linfa's.

use super::{Params, checking};
use crate::error::Error;
use linfa::DatasetBase;
use linfa::traits::Fit as _;
use linfa_clustering::{KMeans, KMeansInit};
use ndarray::{Array2, ArrayView2, Axis};
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

/// Enough passes over the sample to tell a good start from a bad one; the rest is done on all rows.
const SAMPLE_ITERATIONS: u64 = 10;

/// linfa ends a start whose centroids move by less, in the units of the rows.
const SAMPLE_TOLERANCE: f32 = 1e-3;

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

/// `k` centroids to start from.
pub(super) fn start(rows: ArrayView2<f32>, k: usize, params: &Params) -> Result<Array2<f32>, Error> {
    let refused = |parameter, problem: String| Error::Parameter { parameter, problem };
    // All rows, not the sample alone, so that what is refused is named by its place in them.
    checking::rows(rows, k)?;
    checking::steps(params.max_iterations, params.tolerance)?;
    for (parameter, value) in [("starts", params.starts), ("sample", params.sample)] {
        if value == 0 {
            return Err(refused(parameter, "is 0".to_owned()));
        }
    }
    // A sample of fewer rows than centroids would start with some of them in one place.
    let sample = Draws::new(params.seed).sample(rows, params.sample.max(k));
    let found = KMeans::params_with_rng(k, Xoshiro256Plus::seed_from_u64(params.seed))
        .init_method(KMeansInit::KMeansPlusPlus)
        .n_runs(params.starts)
        .max_n_iterations(SAMPLE_ITERATIONS)
        .tolerance(SAMPLE_TOLERANCE)
        .fit(&DatasetBase::from(sample))
        .map_err(|error| refused("rows", format!("could not be seeded: {error}")))?;
    Ok(found.centroids().clone())
}

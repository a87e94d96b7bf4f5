//! Start of Lloyd's algorithm: k-means++ by linfa on a sample of the rows, the best of several starts.

use super::check;
use super::params::Params;
use crate::error::Error;
use crate::rng::SeededRng;
use linfa::DatasetBase;
use linfa::traits::Fit as _;
use linfa_clustering::{KMeans, KMeansInit};
use ndarray::{Array2, ArrayView2};
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::SeedableRng;

/// Passes over the sample: enough to tell a good start from a bad one; all rows follow.
const SAMPLE_ITERATIONS: u64 = 10;

/// Shift of linfa's centroids, in the units of the rows, below which a start ends.
const SAMPLE_TOLERANCE: f32 = 1e-3;

/// Finds `k` initial centroids (`k x d`).
pub(super) fn start(rows: ArrayView2<f32>, k: usize, params: &Params) -> Result<Array2<f32>, Error> {
    // All rows, not the sample alone, so that an error names a row of the input.
    check::rows(rows, k)?;
    check::steps(params.max_iterations, params.tolerance)?;
    for (parameter, value) in [("starts", params.starts), ("sample", params.sample)] {
        if value == 0 {
            return Err(Error::parameter(parameter, "is 0"));
        }
    }
    // With fewer sampled rows than centroids some of them would start at the same point.
    let sample = SeededRng::new(params.seed).sample(rows, params.sample.max(k));
    let start = KMeans::params_with_rng(k, Xoshiro256Plus::seed_from_u64(params.seed))
        .init_method(KMeansInit::KMeansPlusPlus)
        .n_runs(params.starts)
        .max_n_iterations(SAMPLE_ITERATIONS)
        .tolerance(SAMPLE_TOLERANCE)
        .fit(&DatasetBase::from(sample))
        .map_err(|error| Error::parameter("rows", format!("could not be seeded: {error}")))?;
    Ok(start.centroids().clone())
}

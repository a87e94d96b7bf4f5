//! Where Lloyd's algorithm starts. In come rows and a seed; out come centroids that k-means++ found on a sample of the rows,
//! the best of several starts. The k-means++ itself is linfa's.

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

/// Enough passes over the sample to tell a good start from a bad one; the rest is done on all rows.
const SAMPLE_ITERATIONS: u64 = 10;

/// linfa ends a start whose centroids move by less, in the units of the rows.
const SAMPLE_TOLERANCE: f32 = 1e-3;

/// `k` centroids to start from.
pub(super) fn start(rows: ArrayView2<f32>, k: usize, params: &Params) -> Result<Array2<f32>, Error> {
    let refused = |parameter, problem: String| Error::Parameter { parameter, problem };
    // All rows, not the sample alone, so that what is refused is named by its place in them.
    check::rows(rows, k)?;
    check::steps(params.max_iterations, params.tolerance)?;
    for (parameter, value) in [("starts", params.starts), ("sample", params.sample)] {
        if value == 0 {
            return Err(refused(parameter, "is 0".to_owned()));
        }
    }
    // A sample of fewer rows than centroids would start with some of them in one place.
    let sample = SeededRng::new(params.seed).sample(rows, params.sample.max(k));
    let found = KMeans::params_with_rng(k, Xoshiro256Plus::seed_from_u64(params.seed))
        .init_method(KMeansInit::KMeansPlusPlus)
        .n_runs(params.starts)
        .max_n_iterations(SAMPLE_ITERATIONS)
        .tolerance(SAMPLE_TOLERANCE)
        .fit(&DatasetBase::from(sample))
        .map_err(|error| refused("rows", format!("could not be seeded: {error}")))?;
    Ok(found.centroids().clone())
}

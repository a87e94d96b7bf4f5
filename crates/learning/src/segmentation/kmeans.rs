//! Segments by K-Means. In come scaled rows, one a shopper; out go centroids, and which of them each row is nearest to.
//!
//! [`lloyd`] is Lloyd's algorithm on all rows: each pass is one matrix product a block of rows. [`fit`] finds a start by
//! k-means++ on a sample, [`fit_warm`] starts from the centroids that are live. Whatever is answered depends on the input and
//! the seed alone, never on how many threads there are. It never learns from a value that is not finite.

mod assign;
mod check;
mod kernel;
mod lloyd;
mod params;
mod pass;
mod seeding;

pub(crate) use assign::squared_distance;
pub use assign::{NearestCentroid, assign, means, nearest};
pub(crate) use check::rows as check_rows;
pub use lloyd::{KMeansFit, lloyd};
pub use params::Params;

use crate::error::Error;
use ndarray::ArrayView2;

/// A cold run replaces a warm one only if its inertia is below this share of the warm one's: a new partition costs every
/// shopper's label, which a small gain is not worth.
const COLD_WINS_BELOW: f64 = 0.97;

/// Finds `k` centroids from nothing: `params.starts` starts by k-means++ (Arthur & Vassilvitskii, "k-means++: The Advantages
/// of Careful Seeding", SODA 2007, section 2.2) on a sample, the best of them then refined on all `rows`.
///
/// # Errors
///
/// [`Error::Parameter`] for a `k`, `starts`, `sample` or `max_iterations` of 0 or a tolerance that is negative or NaN;
/// otherwise as [`lloyd`].
pub fn fit(rows: ArrayView2<f32>, k: usize, params: &Params) -> Result<KMeansFit, Error> {
    let start = seeding::start(rows, k, params)?;
    lloyd(rows, start, params.max_iterations, params.tolerance)
}

/// Finds as many centroids as are `live`, starting from them, so that a segment stays what it was. A cold [`fit`] runs too,
/// and wins only if its inertia is more than 3% lower.
///
/// # Errors
///
/// As [`fit`].
pub fn fit_warm(rows: ArrayView2<f32>, live: ArrayView2<f32>, params: &Params) -> Result<KMeansFit, Error> {
    let warm = lloyd(rows, live.to_owned(), params.max_iterations, params.tolerance)?;
    let cold = fit(rows, live.nrows(), params)?;
    Ok(if cold.inertia < COLD_WINS_BELOW * warm.inertia { cold } else { warm })
}

//! K-Means on scaled rows (`n x d`, one row per user).
//!
//! [`lloyd()`] is Lloyd's algorithm on all rows; each pass is one matrix product per block of rows. [`fit`] starts from k-means++ on a
//! sample, [`fit_warm`] from the live centroids. Results depend on the input and the seed alone, not on the number of threads. Values
//! that are not finite are refused.

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

/// Share of the warm run's inertia below which a cold run replaces it: a new partition changes the label of every user, which a small
/// gain is not worth.
const COLD_WINS_BELOW: f64 = 0.97;

/// Finds `k` centroids: `params.starts` starts by k-means++ (Arthur and Vassilvitskii, "k-means++: The Advantages of Careful
/// Seeding", SODA 2007, section 2.2) on a sample, the best of them then refined on all `rows` (`n x d`).
///
/// # Errors
///
/// [`Error::Parameter`] for `k`, `starts`, `sample` or `max_iterations` of 0, or a tolerance that is negative or NaN;
/// otherwise as [`lloyd()`].
pub fn fit(rows: ArrayView2<f32>, k: usize, params: &Params) -> Result<KMeansFit, Error> {
    let start = seeding::start(rows, k, params)?;
    lloyd(rows, start, params.max_iterations, params.tolerance)
}

/// Finds as many centroids as `live` (`k x d`) has, starting from those, so that segments stay what they were. A cold [`fit`] runs
/// too, and wins only if its inertia is more than 3% lower.
///
/// # Errors
///
/// As [`fit`].
pub fn fit_warm(rows: ArrayView2<f32>, live: ArrayView2<f32>, params: &Params) -> Result<KMeansFit, Error> {
    let warm = lloyd(rows, live.to_owned(), params.max_iterations, params.tolerance)?;
    let cold = fit(rows, live.nrows(), params)?;
    Ok(if cold.inertia < COLD_WINS_BELOW * warm.inertia { cold } else { warm })
}

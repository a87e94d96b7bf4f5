//! Settings of a K-Means search, with the defaults of a daily training.

/// How centroids are looked for.
///
/// ```
/// use ndarray::array;
/// use portrait_learning::segmentation::{Params, fit};
///
/// let rows = array![[0.0, 0.0], [0.1, 0.0], [9.0, 9.0], [9.0, 9.1]];
/// let found = fit(rows.view(), 2, &Params::default())?;
/// assert_eq!(found.sizes, [2, 2]);
/// assert_eq!(found.labels[0], found.labels[1]);
/// assert_ne!(found.labels[1], found.labels[2]);
/// // The same seed gives the same partition, however many threads there are.
/// assert_eq!(fit(rows.view(), 2, &Params::default())?, found);
/// # Ok::<(), portrait_learning::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// The most passes over all rows. More give a slightly better partition at the cost of time.
    pub max_iterations: usize,
    /// A pass that moves the centroids by less ends the search: the sum of their squared shifts, as a share of the mean
    /// variance of the columns, as scikit-learn's `tol`.
    pub tolerance: f64,
    /// How many starts are tried on the sample.
    pub starts: usize,
    /// How many rows the starts are tried on.
    pub sample: usize,
    /// All that is random follows from it.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self { max_iterations: 300, tolerance: 1e-4, starts: 4, sample: 20_000, seed: 0 }
    }
}

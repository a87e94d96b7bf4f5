//! Parameters of a K-Means search, with the defaults of a daily training.

/// Parameters of a K-Means search.
///
/// ```
/// use ndarray::array;
/// use portrait_learning::segmentation::{Params, fit};
///
/// let rows = array![[0.0, 0.0], [0.1, 0.0], [9.0, 9.0], [9.0, 9.1]];
/// let fitted = fit(rows.view(), 2, &Params::default())?;
/// assert_eq!(fitted.sizes, [2, 2]);
/// assert_eq!(fitted.labels[0], fitted.labels[1]);
/// assert_ne!(fitted.labels[1], fitted.labels[2]);
/// // The same seed gives the same partition with any number of threads.
/// assert_eq!(fit(rows.view(), 2, &Params::default())?, fitted);
/// # Ok::<(), portrait_learning::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Largest number of passes over all rows, default 300.
    pub max_iterations: usize,
    /// Convergence limit, default 1e-4: the sum of the centroids' squared shifts, as a share of the mean variance of the columns
    /// (`tol` of scikit-learn).
    pub tolerance: f64,
    /// Number of k-means++ starts on the sample, default 4.
    pub starts: usize,
    /// Number of sampled rows for the starts, default 20,000.
    pub sample: usize,
    /// Seed of the sample and the starts.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self { max_iterations: 300, tolerance: 1e-4, starts: 4, sample: 20_000, seed: 0 }
    }
}

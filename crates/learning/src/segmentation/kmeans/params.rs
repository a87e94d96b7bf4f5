//! Settings of a K-Means search, with the defaults of a daily training.

/// How centroids are looked for.
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

//! Lloyd's algorithm on all rows (Lloyd, "Least squares quantization in PCM", 1982), with the stopping rules and the repair of empty
//! clusters of scikit-learn's `KMeans(algorithm="lloyd")`, so that results can be compared number by number.

use super::assign::squared_distances;
use super::check;
use super::pass::{ClusterSums, PreparedCentroids};
use crate::error::Error;
use ndarray::{Array2, ArrayView2, Axis};

/// Result of a search: a partition of the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeansFit {
    /// Centroids, `k x d`, in the units of the rows.
    pub centroids: Array2<f32>,
    /// Index of the nearest centroid by row.
    pub labels: Vec<u32>,
    /// Number of rows by centroid; 0 is possible with fewer distinct rows than centroids, see [`Self::without_empty`].
    pub sizes: Vec<usize>,
    /// Sum of the squared distances of the rows to their centroids.
    pub inertia: f64,
    /// Number of passes that moved the centroids.
    pub iterations: usize,
}

/// Label before the first pass.
const UNLABELLED: u32 = u32::MAX;

impl KMeansFit {
    /// Drops the centroids without rows; the others keep their order, and labels follow them.
    #[must_use]
    pub fn without_empty(self) -> Self {
        let kept: Vec<usize> = (0..self.sizes.len()).filter(|centroid| self.sizes[*centroid] > 0).collect();
        if kept.len() == self.sizes.len() {
            return self;
        }
        let mut new_labels = vec![UNLABELLED; self.sizes.len()];
        for (label, centroid) in (0_u32..).zip(&kept) {
            new_labels[*centroid] = label;
        }
        Self {
            centroids: self.centroids.select(Axis(0), &kept),
            labels: self.labels.iter().map(|label| new_labels[*label as usize]).collect(),
            sizes: kept.iter().map(|centroid| self.sizes[*centroid]).collect(),
            ..self
        }
    }
}

/// Moves the centroids of `start` (`k x d`) to the means of their nearest rows (`n x d`), until no label changes, or the sum of their
/// squared shifts is at most `tolerance` times the mean variance of the columns, or `max_iterations` passes are done. Centroids
/// without rows move to the rows furthest from their own centroid. Labels, sizes and inertia belong to the returned centroids.
///
/// # Errors
///
/// [`Error::Width`] if `start` has another width than `rows` or there are no columns, [`Error::TooFew`] for fewer rows than
/// centroids, [`Error::NotFinite`] for a value that is NaN or infinite, [`Error::Parameter`] for no centroid, no iteration, a
/// tolerance that is negative or NaN, or values beyond ±1e12.
pub fn lloyd(
    rows: ArrayView2<f32>,
    start: Array2<f32>,
    max_iterations: usize,
    tolerance: f64,
) -> Result<KMeansFit, Error> {
    let rows = rows.as_standard_layout();
    let rows = rows.view();
    check::width("start", start.ncols(), rows.ncols())?;
    check::steps(max_iterations, tolerance)?;
    check::values(start.view())?;
    // Relative to the variance, as in scikit-learn, so that the limit does not depend on the unit of the
    // columns.
    let shift_max = tolerance * check::mean_variance(rows, start.nrows())?;
    let mut centroids = start;
    let mut labels = vec![UNLABELLED; rows.nrows()];
    let mut converged = false;
    let mut iterations = 0;
    while iterations < max_iterations {
        iterations += 1;
        let sums = PreparedCentroids::new(centroids.view()).label_and_sum(rows, &mut labels);
        converged = !sums.changed;
        let next = means(rows, &centroids, &labels, sums);
        let shift = squared_shift(&centroids, &next);
        centroids = next;
        if converged || shift <= shift_max {
            break;
        }
    }
    // The labels of the last pass belong to the centroids before its move.
    if !converged {
        PreparedCentroids::new(centroids.view()).label(rows, &mut labels);
    }
    Ok(kmeans_fit(rows, centroids, labels, iterations))
}

fn kmeans_fit(
    rows: ArrayView2<f32>,
    centroids: Array2<f32>,
    labels: Vec<u32>,
    iterations: usize,
) -> KMeansFit {
    // Counted again: the sums of the last pass belong to the centroids before its move.
    let mut sizes = vec![0; centroids.nrows()];
    labels.iter().for_each(|label| sizes[*label as usize] += 1);
    let inertia = squared_distances(rows, centroids.view(), &labels).1;
    KMeansFit { centroids, labels, sizes, inertia, iterations }
}

fn means(
    rows: ArrayView2<f32>,
    centroids: &Array2<f32>,
    labels: &[u32],
    mut sums: ClusterSums,
) -> Array2<f32> {
    if sums.counts.contains(&0) {
        repair(rows, centroids, labels, &mut sums);
    }
    // A cluster that even the repair cannot fill takes the place of the largest, whose lower index wins all rows: there are fewer
    // distinct rows than centroids. As in scikit-learn.
    let largest = (0..sums.counts.len()).rev().max_by_key(|centroid| sums.counts[*centroid]).unwrap_or(0);
    Array2::from_shape_fn(centroids.dim(), |(centroid, column)| {
        let centroid = if sums.counts[centroid] > 0 { centroid } else { largest };
        (sums.sums[(centroid, column)] / sums.counts[centroid] as f64) as f32
    })
}

/// Gives each empty cluster one row, the furthest first, and removes it from its former cluster; the lower index of two equally far.
fn repair(rows: ArrayView2<f32>, centroids: &Array2<f32>, labels: &[u32], sums: &mut ClusterSums) {
    let (distances, _) = squared_distances(rows, centroids.view(), labels);
    let empty: Vec<usize> = (0..sums.counts.len()).filter(|centroid| sums.counts[*centroid] == 0).collect();
    // A row at distance 0 from its centroid gains nothing.
    let mut far: Vec<usize> = (0..rows.nrows()).filter(|row| distances[*row] > 0.0).collect();
    far.sort_by(|left, right| distances[*right].total_cmp(&distances[*left]));
    for (centroid, row) in empty.into_iter().zip(far) {
        let old = labels[row] as usize;
        for (column, value) in rows.row(row).iter().enumerate() {
            sums.sums[(old, column)] -= f64::from(*value);
            sums.sums[(centroid, column)] = f64::from(*value);
        }
        sums.counts[old] -= 1;
        sums.counts[centroid] = 1;
    }
}

fn squared_shift(old: &Array2<f32>, new: &Array2<f32>) -> f64 {
    old.iter().zip(new).map(|(old, new)| (f64::from(*old) - f64::from(*new)).powi(2)).sum()
}

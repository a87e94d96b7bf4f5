//! Nearest centroids: of many rows at once for training, of one row for serving. Nothing here fails: invalid input gives infinite or
//! NaN distances.
use super::pass::{CHUNK_ROWS, PreparedCentroids};
use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// Number of partial sums: a single sum would make each addition wait for the one before.
const LANES: usize = 16;

/// Nearest centroid of a row and the second nearest. Distances are Euclidean, not squared.
///
/// ```
/// use ndarray::array;
/// use portrait_learning::segmentation::nearest;
///
/// let centroids = array![[0.0, 0.0], [3.0, 4.0]];
/// let nearest = nearest(&[0.0, 0.0], centroids.view()).unwrap();
/// assert_eq!((nearest.index, nearest.distance), (0, 0.0));
/// assert_eq!(nearest.runner_up, Some((1, 5.0)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearestCentroid {
    /// Index of the centroid.
    pub index: usize,
    /// Euclidean distance to the centroid.
    pub distance: f32,
    /// Index of the second nearest centroid and the distance to it; `None` for a single centroid.
    pub runner_up: Option<(usize, f32)>,
}

/// Labels rows (`n x d`) with their nearest centroid (`k x d`; the lower index of two equally near) and gives the squared distances.
/// Extra columns of the wider matrix are ignored. Without centroids labels are 0 and distances infinite; a row with values that are
/// not finite gets any label.
pub fn assign(rows: ArrayView2<f32>, centroids: ArrayView2<f32>) -> (Vec<u32>, Vec<f32>) {
    let mut labels = vec![0; rows.nrows()];
    if centroids.nrows() == 0 {
        return (labels, vec![f32::INFINITY; rows.nrows()]);
    }
    let width = rows.ncols().min(centroids.ncols());
    let (rows, _) = rows.split_at(Axis(1), width);
    let rows = rows.as_standard_layout();
    let (centroids, _) = centroids.split_at(Axis(1), width);
    PreparedCentroids::new(centroids).label(rows.view(), &mut labels);
    // The kernel's scores lack the square of the row and cancel digits, so distances are computed from
    // differences.
    let (distances, _) = squared_distances(rows.view(), centroids, &labels);
    (labels, distances)
}

/// Finds the nearest and the second nearest centroid of a row; the lower index of two equally near. Extra columns of the wider input
/// are ignored, and a NaN distance counts as infinite. `None` without centroids.
pub fn nearest(row: &[f32], centroids: ArrayView2<f32>) -> Option<NearestCentroid> {
    let mut first: Option<(usize, f32)> = None;
    let mut second: Option<(usize, f32)> = None;
    for (index, centroid) in centroids.outer_iter().enumerate() {
        // Contiguous centroids, the usual case, take the vectorised way.
        let squared = match centroid.to_slice() {
            Some(centroid) => squared_distance(row, centroid),
            None => row.iter().zip(centroid).map(|(left, right)| (left - right).powi(2)).sum(),
        };
        let squared = if squared.is_nan() { f32::INFINITY } else { squared };
        if first.is_none_or(|(_, least)| squared < least) {
            second = first;
            first = Some((index, squared));
        } else if second.is_none_or(|(_, least)| squared < least) {
            second = Some((index, squared));
        }
    }
    let (index, squared) = first?;
    let runner_up = second.map(|(index, squared)| (index, squared.sqrt()));
    Some(NearestCentroid { index, distance: squared.sqrt(), runner_up })
}

/// Means of the rows (`n x d`) by label below `count`, `count x d`; zeros for a label without rows. Rows may have other columns than
/// those that the labels were computed from.
pub fn means(rows: ArrayView2<f32>, labels: &[u32], count: usize) -> Array2<f32> {
    let mut sums = Array2::<f64>::zeros((count, rows.ncols()));
    let mut sizes = vec![0_u64; count];
    for (row, label) in rows.outer_iter().zip(labels) {
        let label = *label as usize;
        if label < count {
            sizes[label] += 1;
            sums.row_mut(label).zip_mut_with(&row, |sum, value| *sum += f64::from(*value));
        }
    }
    Array2::from_shape_fn(sums.dim(), |(label, column)| {
        (sums[[label, column]] / sizes[label].max(1) as f64) as f32
    })
}

/// Squared distance of each row to the centroid of its label, and their sum, which does not depend on the threads.
pub(super) fn squared_distances(
    rows: ArrayView2<f32>,
    centroids: ArrayView2<f32>,
    labels: &[u32],
) -> (Vec<f32>, f64) {
    let centroids = centroids.as_standard_layout();
    let mut distances = vec![0.0; rows.nrows()];
    let sums: Vec<f64> = rows
        .axis_chunks_iter(Axis(0), CHUNK_ROWS)
        .into_par_iter()
        .zip(labels.par_chunks(CHUNK_ROWS))
        .zip(distances.par_chunks_mut(CHUNK_ROWS))
        .map(|((rows, labels), distances)| {
            for ((row, label), distance) in rows.outer_iter().zip(labels).zip(&mut *distances) {
                let centroid = centroids.row(*label as usize);
                *distance = squared_distance(
                    row.to_slice().unwrap_or_default(),
                    centroid.to_slice().unwrap_or_default(),
                );
            }
            distances.iter().map(|distance| f64::from(*distance)).sum()
        })
        .collect();
    (distances, sums.iter().sum())
}

/// Squared Euclidean distance over the shorter of the two lengths. By differences, which keep the precision that
/// `|a|^2 - 2 a.b + |b|^2` loses.
pub(crate) fn squared_distance(left: &[f32], right: &[f32]) -> f32 {
    let width = left.len().min(right.len());
    let (left_chunks, left_rest) = left[..width].as_chunks::<LANES>();
    let (right_chunks, right_rest) = right[..width].as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += (left - right) * (left - right);
        }
    }
    let rest: f32 =
        left_rest.iter().zip(right_rest).map(|(left, right)| (left - right) * (left - right)).sum();
    sums.iter().sum::<f32>() + rest
}

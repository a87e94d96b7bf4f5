//! Which centroid a row is nearest to: of many rows at once for learning, of one row for serving. In come rows and centroids;
//! out come indices and distances. Nothing here panics or refuses: what is wrong with the input shows in the distance.

use super::pass::{CHUNK_ROWS, PreparedCentroids};
use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// Sums of squares are taken side by side in this many places: one after the other, they would wait for each other.
const LANES: usize = 16;

/// The centroid that a row is nearest to, and the one it would be nearest to without that. Distances are Euclidean, not
/// squared.
///
/// ```
/// use ndarray::array;
/// use portrait_learning::segmentation::nearest;
///
/// let centroids = array![[0.0, 0.0], [3.0, 4.0]];
/// let found = nearest(&[0.0, 0.0], centroids.view()).unwrap();
/// assert_eq!((found.index, found.distance), (0, 0.0));
/// assert_eq!(found.runner_up, Some((1, 5.0)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearestCentroid {
    /// The centroid.
    pub index: usize,
    /// How far it is.
    pub distance: f32,
    /// The next centroid and how far it is, if there is one.
    pub runner_up: Option<(usize, f32)>,
}

/// For each of `rows`, the centroid that is nearest (the lower index of two that are equally near) and its squared distance.
/// Columns that the wider of the two has more are not looked at; without centroids every label is 0 and every distance
/// infinite. A row of values that are not finite gets any label.
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
    let (distances, _) = squared_distances(rows.view(), centroids, &labels);
    (labels, distances)
}

/// The centroids that `row` is nearest and second nearest to; the lower index of two that are equally near. Columns that the
/// wider of the two has more are not looked at, and a distance that is no number is infinite. `None` without centroids.
pub fn nearest(row: &[f32], centroids: ArrayView2<f32>) -> Option<NearestCentroid> {
    let mut first: Option<(usize, f32)> = None;
    let mut second: Option<(usize, f32)> = None;
    for (index, centroid) in centroids.outer_iter().enumerate() {
        let squared = match centroid.to_slice() {
            Some(centroid) => squared_distance(row, centroid),
            None => row.iter().zip(centroid).map(|(one, other)| (one - other).powi(2)).sum(),
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

/// The mean of the rows of each label below `count`, a row a label; zeros for one that no row has. Rows may be other components
/// than those that the labels were found by.
pub fn means(rows: ArrayView2<f32>, labels: &[u32], count: usize) -> Array2<f32> {
    let (mut sums, mut sizes) = (Array2::<f64>::zeros((count, rows.ncols())), vec![0_u64; count]);
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

/// The squared distance of each row to the centroid of its label, and their sum, which does not depend on the threads.
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

/// By differences, which keeps its precision where `|a|^2 - 2 a.b + |b|^2` loses it; over the shorter of the two.
pub(crate) fn squared_distance(one: &[f32], other: &[f32]) -> f32 {
    let width = one.len().min(other.len());
    let (ones, one_rest) = one[..width].as_chunks::<LANES>();
    let (others, other_rest) = other[..width].as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (one, other) in ones.iter().zip(others) {
        for ((sum, one), other) in sums.iter_mut().zip(one).zip(other) {
            *sum += (one - other) * (one - other);
        }
    }
    let rest: f32 = one_rest.iter().zip(other_rest).map(|(one, other)| (one - other) * (one - other)).sum();
    sums.iter().sum::<f32>() + rest
}

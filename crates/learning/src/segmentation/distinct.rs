//! Rows that can be distinguished: no more segments can be found than there are.

use crate::segmentation::kmeans::squared_distance;
use ndarray::ArrayView2;

/// Distance below which two rows count as one, in coordinates of a [`Space`](super::Space). There the strongest direction of each facet
/// has a standard deviation of 1, and f32 rounds values within ±5 at 1e-6: what is below is noise, what is above may be behaviour.
const DISTANCE_MIN: f32 = 1e-3;

/// Counts the rows (`n x d`) that are apart from every row counted before them. The count stops at `max`, so that rows which differ
/// are not all compared.
///
/// ```
/// use ndarray::array;
/// use portrait_learning::segmentation::distinct_rows;
///
/// let rows = array![[0.0, 1.0], [0.0, 1.0], [2.0, 1.0], [0.0, 1.00001], [7.0, 7.0]];
/// assert_eq!(distinct_rows(rows.view(), 10), 3);
/// assert_eq!(distinct_rows(rows.view(), 2), 2);
/// ```
pub fn distinct_rows(rows: ArrayView2<f32>, max: usize) -> usize {
    let rows = rows.as_standard_layout();
    let mut known: Vec<&[f32]> = Vec::new();
    for row in rows.outer_iter() {
        if known.len() >= max {
            break;
        }
        let row = row.to_slice().unwrap_or_default();
        if known.iter().all(|other| squared_distance(row, other) > DISTANCE_MIN * DISTANCE_MIN) {
            known.push(row);
        }
    }
    known.len()
}

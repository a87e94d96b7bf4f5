//! Checks of the input of K-Means, and the mean variance of columns that its tolerance refers to.

use super::pass::{BLOCK_ROWS, CHUNK_ROWS};
use crate::error::Error;
use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, Axis};

/// Bound of values: squares of larger ones could not be summed in f32. Scaled rows lie within ±5.
const VALUE_MAX: f32 = 1e12;

/// Sums of one chunk by column, of differences to the first row of all: near the mean, f32 is enough for a block.
struct ColumnMoments {
    sums: Vec<f64>,
    squares: Vec<f64>,
    within_bounds: bool,
}

/// Checks that there are columns, at least `k` rows, and only values within bounds.
pub(crate) fn rows(rows: ArrayView2<f32>, k: usize) -> Result<(), Error> {
    mean_variance(rows.as_standard_layout().view(), k).map(|_| ())
}

/// Checks rows in standard layout as [`rows`] does, and returns the mean of the columns' variances.
pub(super) fn mean_variance(rows: ArrayView2<f32>, k: usize) -> Result<f64, Error> {
    if k == 0 {
        return Err(Error::Parameter { parameter: "k", problem: "is 0".to_owned() });
    }
    if rows.nrows() < k {
        return Err(Error::TooFew { rows: rows.nrows(), needed: k });
    }
    if rows.ncols() == 0 {
        return Err(Error::Width { what: "rows", found: 0, expected: 1 });
    }
    let chunks: Vec<ColumnMoments> = rows
        .axis_chunks_iter(Axis(0), CHUNK_ROWS)
        .into_par_iter()
        .map(|chunk| column_moments(chunk, rows.row(0).as_slice().unwrap_or_default()))
        .collect();
    if chunks.iter().any(|chunk| !chunk.within_bounds) {
        return Err(refusal(rows));
    }
    let count = rows.nrows() as f64;
    let mut variances = 0.0;
    for column in 0..rows.ncols() {
        let mean: f64 = chunks.iter().map(|chunk| chunk.sums[column]).sum::<f64>() / count;
        let mean_square: f64 = chunks.iter().map(|chunk| chunk.squares[column]).sum::<f64>() / count;
        // Rounding can make the difference negative for a constant column.
        variances += (mean_square - mean * mean).max(0.0);
    }
    Ok(variances / rows.ncols() as f64)
}

/// Checks that `what` has the expected number of columns.
pub(super) fn width(what: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Width { what, found, expected }) }
}

/// Checks that every value of a small matrix is within bounds.
pub(super) fn values(rows: ArrayView2<f32>) -> Result<(), Error> {
    if rows.iter().all(|value| value.abs() <= VALUE_MAX) { Ok(()) } else { Err(refusal(rows)) }
}

fn column_moments(chunk: ArrayView2<f32>, first: &[f32]) -> ColumnMoments {
    let width = chunk.ncols();
    let mut moments =
        ColumnMoments { sums: vec![0.0; width], squares: vec![0.0; width], within_bounds: true };
    let mut sums = vec![0.0_f32; width];
    let mut squares = vec![0.0_f32; width];
    for block in chunk.axis_chunks_iter(Axis(0), BLOCK_ROWS) {
        sums.fill(0.0);
        squares.fill(0.0);
        for value in block.as_slice().unwrap_or_default().chunks_exact(width) {
            for (((value, origin), sum), square) in value.iter().zip(first).zip(&mut sums).zip(&mut squares) {
                let difference = value - origin;
                // NaN compares as false and is out of bounds, too. No branch, so that the loop is vectorised.
                moments.within_bounds &= value.abs() <= VALUE_MAX;
                *sum += difference;
                *square += difference * difference;
            }
        }
        for (total, sum) in moments.sums.iter_mut().zip(&sums) {
            *total += f64::from(*sum);
        }
        for (total, square) in moments.squares.iter_mut().zip(&squares) {
            *total += f64::from(*square);
        }
    }
    moments
}

/// Error for rows out of bounds. Searches for the first such value again, since the fast check only says that there is one.
fn refusal(rows: ArrayView2<f32>) -> Error {
    match rows.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((row, column), _)) => Error::NotFinite { row, column },
        None => Error::Parameter {
            parameter: "rows",
            problem: format!("hold a value beyond ±{VALUE_MAX:e}, whose square cannot be summed"),
        },
    }
}

/// Checks the limits of a search.
pub(super) fn steps(max_iterations: usize, tolerance: f64) -> Result<(), Error> {
    if max_iterations == 0 {
        return Err(Error::parameter("max_iterations", "is 0"));
    }
    if !tolerance.is_finite() || tolerance < 0.0 {
        return Err(Error::parameter("tolerance", "is not a number from 0"));
    }
    Ok(())
}

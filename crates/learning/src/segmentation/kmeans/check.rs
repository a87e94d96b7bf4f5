//! What is refused before anything is learned. In come rows; out comes the mean variance of their columns, or an error.

use super::pass::{BLOCK_ROWS, CHUNK_ROWS};
use crate::error::Error;
use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, Axis};

/// Squares of larger values could not be summed in f32. Scaled rows lie within ±5.
const VALUE_MAX: f32 = 1e12;

/// Sums of one chunk, by column, of the difference to the first row: near the mean, f32 is enough for a block.
struct ColumnMoments {
    sums: Vec<f64>,
    squares: Vec<f64>,
    within_bounds: bool,
}

/// That there are rows enough for `k` centroids, and columns, and that every value can be learned from.
pub(crate) fn rows(rows: ArrayView2<f32>, k: usize) -> Result<(), Error> {
    mean_variance(rows.as_standard_layout().view(), k).map(|_| ())
}

/// As [`rows`], of rows in standard layout; answers the mean of the columns' variances.
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
    let by_column = (0..rows.ncols()).map(|column| {
        let mean: f64 = chunks.iter().map(|chunk| chunk.sums[column]).sum::<f64>() / count;
        let mean_square: f64 = chunks.iter().map(|chunk| chunk.squares[column]).sum::<f64>() / count;
        (mean_square - mean * mean).max(0.0)
    });
    Ok(by_column.sum::<f64>() / rows.ncols() as f64)
}

/// That `found` columns of `what` are as many as `expected`.
pub(super) fn width(what: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Width { what, found, expected }) }
}

/// That every value of a small matrix can be learned from.
pub(super) fn values(rows: ArrayView2<f32>) -> Result<(), Error> {
    if rows.iter().all(|value| value.abs() <= VALUE_MAX) { Ok(()) } else { Err(refusal(rows)) }
}

fn column_moments(chunk: ArrayView2<f32>, first: &[f32]) -> ColumnMoments {
    let width = chunk.ncols();
    let mut moments =
        ColumnMoments { sums: vec![0.0; width], squares: vec![0.0; width], within_bounds: true };
    let (mut sums, mut squares) = (vec![0.0_f32; width], vec![0.0_f32; width]);
    for block in chunk.axis_chunks_iter(Axis(0), BLOCK_ROWS) {
        sums.fill(0.0);
        squares.fill(0.0);
        for value in block.as_slice().unwrap_or_default().chunks_exact(width) {
            for (((value, origin), sum), square) in value.iter().zip(first).zip(&mut sums).zip(&mut squares) {
                let difference = value - origin;
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

/// Looks for the place again, slowly: the fast way only says that there is one.
fn refusal(rows: ArrayView2<f32>) -> Error {
    match rows.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((row, column), _)) => Error::NotFinite { row, column },
        None => Error::Parameter {
            parameter: "rows",
            problem: format!("hold a value beyond ±{VALUE_MAX:e}, whose square cannot be summed"),
        },
    }
}

/// That a search with these would search.
pub(super) fn steps(max_iterations: usize, tolerance: f64) -> Result<(), Error> {
    let refused = |parameter, problem: &str| Err(Error::Parameter { parameter, problem: problem.to_owned() });
    if max_iterations == 0 {
        return refused("max_iterations", "is 0");
    }
    if !tolerance.is_finite() || tolerance < 0.0 {
        return refused("tolerance", "is not a number from 0");
    }
    Ok(())
}

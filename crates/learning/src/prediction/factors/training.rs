//! Alternating training of users and items. The same input and seed give the same vectors with any number of threads.

use super::basis::Basis;
use super::fold_in::{Factors, UserStats};
use super::interactions::InteractionMatrix;
use super::params::Params;
use super::solve::RowSolver;
use super::tile;
use crate::error::Error;
use ndarray::{Array2, ArrayView2};
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

/// Standard deviation of the initial vectors, before division by the root of the width: products near 0, as for unobserved pairs.
const START_DEVIATION: f64 = 0.1;

/// Result of a training.
#[derive(Clone, Debug)]
pub struct TrainedFactors {
    /// User vectors, `users x d`; zero rows for users without entries.
    pub users: Array2<f32>,
    /// Item vectors with the data for fold-in.
    pub factors: Factors,
}

/// Trains from random item vectors.
///
/// # Errors
/// [`Error::Parameter`] for invalid parameters or if the result is not finite; [`Error::TooFew`] without entries.
pub fn train(interactions: &InteractionMatrix, params: &Params) -> Result<TrainedFactors, Error> {
    params.check()?;
    let deviation = START_DEVIATION / (params.width as f64).sqrt();
    let mut rng = Xoshiro256Plus::seed_from_u64(params.seed);
    let start = Array2::from_shape_simple_fn((interactions.columns(), params.width), || {
        (deviation * normal(&mut rng)) as f32
    });
    train_from(interactions, start.view(), params)
}

/// Trains from the item vectors of an earlier training (`start`, `items x d`), which needs fewer epochs.
///
/// # Errors
/// As [`train`], and [`Error::Width`] or [`Error::NotFinite`] if `start` does not fit.
pub fn train_from(
    interactions: &InteractionMatrix,
    start: ArrayView2<f32>,
    params: &Params,
) -> Result<TrainedFactors, Error> {
    params.check()?;
    if interactions.entries() == 0 {
        return Err(Error::TooFew { rows: 0, needed: 1 });
    }
    for (what, found, expected) in [
        ("the start", start.ncols(), params.width),
        ("the transposed start", start.nrows(), interactions.columns()),
    ] {
        if found != expected {
            return Err(Error::Width { what, found, expected });
        }
    }
    if let Some(((row, column), _)) = start.indexed_iter().find(|(_, value)| !value.is_finite()) {
        return Err(Error::NotFinite { row, column });
    }
    let by_user = interactions.map(|weight| params.confidence.of(weight));
    let by_item = by_user.transposed();
    let width = tile::padded(params.width);
    let mut items = tile::pad(start, width);
    let mut users = Vec::new();
    for _ in 0..params.epochs {
        let basis = Basis::new(&items, width);
        users = RowSolver { params, interactions: &by_user, basis: &basis }.solve();
        let basis = Basis::new(&users, width);
        // Items last: fold-in solves a new user against these vectors.
        items = RowSolver { params, interactions: &by_item, basis: &basis }.solve();
        // In the axes that the items were just solved in; both sides must share them.
        users = basis.vectors;
    }
    let entries = (0..by_item.rows()).map(|item| by_item.row(item).0.len() as u32).collect();
    finish(&users, &items, width, params, entries)
}

/// Removes the padding, which is 0 in all vectors in their own axes, and wraps the result.
fn finish(
    users: &[f32],
    items: &[f32],
    width: usize,
    params: &Params,
    entries: Vec<u32>,
) -> Result<TrainedFactors, Error> {
    // Axes have no fixed order and padding may be anywhere among them: the axes with the longest users are kept.
    let mut squares = vec![0.0_f64; width];
    for user in users.chunks_exact(width) {
        squares.iter_mut().zip(user).for_each(|(sum, value)| *sum += f64::from(*value).powi(2));
    }
    let mut axes: Vec<usize> = (0..width).collect();
    axes.sort_by(|left, right| squares[*right].total_cmp(&squares[*left]));
    axes.truncate(params.width);
    let spread = axes.iter().map(|axis| squares[*axis] as f32).collect();
    let user_stats = UserStats { users: (users.len() / width) as u32, spread, entries };
    let item_vectors = taken(items, width, &axes);
    // Interactions and parameters are checked before: only too little regularisation gives numbers out of
    // bounds.
    let factors = Factors::new(item_vectors, params.clone(), user_stats).map_err(|error| {
        Error::Parameter { parameter: "regularisation", problem: format!("is too small: {error}") }
    })?;
    Ok(TrainedFactors { users: taken(users, width, &axes), factors })
}

/// Vectors (row-major, `width` numbers each) reduced to the given axes.
fn taken(vectors: &[f32], width: usize, axes: &[usize]) -> Array2<f32> {
    Array2::from_shape_fn((vectors.len() / width, axes.len()), |(row, axis)| {
        vectors[row * width + axes[axis]]
    })
}

/// Standard normal number (Box and Muller, 1958).
fn normal(rng: &mut impl RngCore) -> f64 {
    // Half a step above a multiple of 2^-52: never 0, whose logarithm is infinite.
    let mut uniform = || ((rng.next_u64() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
}

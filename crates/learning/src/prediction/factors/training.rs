//! Both sides, in turns. In come interactions and where to start; out go the vectors of shoppers and items. The same input and
//! seed give the same vectors, however many threads there are.

use super::basis::Basis;
use super::folding::{Audience, Factors};
use super::interactions::Interactions;
use super::solving::Rows;
use super::{Params, tile};
use crate::error::Error;
use ndarray::{Array2, ArrayView2};
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

/// The deviation of a start's vectors is this, divided by the root of their width: products near 0, as unobserved pairs want.
const START_DEVIATION: f64 = 0.1;

/// What a training found.
#[derive(Clone, Debug)]
pub struct Trained {
    /// A row each row of the interactions, as wide as a vector; zeros where there was no entry.
    pub users: Array2<f32>,
    /// The items and what folding in needs.
    pub factors: Factors,
}

/// Learns from interactions, from random items.
///
/// # Errors
/// [`Error::Parameter`] if the parameters make no sense or what was learned is not finite; [`Error::TooFew`] without entries.
pub fn train(interactions: &Interactions, params: &Params) -> Result<Trained, Error> {
    params.check()?;
    let deviation = START_DEVIATION / (params.width as f64).sqrt();
    let mut random = Xoshiro256Plus::seed_from_u64(params.seed);
    let start = Array2::from_shape_simple_fn((interactions.columns(), params.width), || {
        (deviation * normal(&mut random)) as f32
    });
    train_from(interactions, start.view(), params)
}

/// Learns from interactions, from the items of an earlier training: a row a column of the interactions. Few epochs are enough.
///
/// # Errors
/// As [`train`], and [`Error::Width`] or [`Error::NotFinite`] if `start` does not fit.
pub fn train_from(
    interactions: &Interactions,
    start: ArrayView2<f32>,
    params: &Params,
) -> Result<Trained, Error> {
    params.check()?;
    if interactions.entries() == 0 {
        return Err(Error::TooFew { rows: 0, needed: 1 });
    }
    for (what, found, expected) in [
        ("the start", start.ncols(), params.width),
        ("the start, turned around,", start.nrows(), interactions.columns()),
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
        users = Rows { params, interactions: &by_user, basis: &basis }.solve();
        let basis = Basis::new(&users, width);
        items = Rows { params, interactions: &by_item, basis: &basis }.solve();
        users = basis.vectors;
    }
    let entries = (0..by_item.rows()).map(|item| by_item.row(item).0.len() as u32).collect();
    finish(&users, &items, width, params, entries)
}

/// Drops what vectors were padded with, which is 0 in all of them once axes are those of the vectors alone.
fn finish(
    users: &[f32],
    items: &[f32],
    width: usize,
    params: &Params,
    entries: Vec<u32>,
) -> Result<Trained, Error> {
    // Axes are in any order and padding may be anywhere among them: those in which the users are longest are kept.
    let mut squares = vec![0.0_f64; width];
    for user in users.chunks_exact(width) {
        squares.iter_mut().zip(user).for_each(|(sum, value)| *sum += f64::from(*value).powi(2));
    }
    let mut axes: Vec<usize> = (0..width).collect();
    axes.sort_by(|one, other| squares[*other].total_cmp(&squares[*one]));
    axes.truncate(params.width);
    let taken = |vectors: &[f32]| {
        Array2::from_shape_fn((vectors.len() / width, params.width), |(row, axis)| {
            vectors[row * width + axes[axis]]
        })
    };
    let spread = axes.iter().map(|axis| squares[*axis] as f32).collect();
    let audience = Audience { users: (users.len() / width) as u32, spread, entries };
    let factors = Factors::new(taken(items), params.clone(), audience).map_err(|error| Error::Parameter {
        parameter: "regularisation",
        problem: format!("is too small: {error}"),
    })?;
    Ok(Trained { users: taken(users), factors })
}

/// By Box and Muller.
fn normal(random: &mut impl RngCore) -> f64 {
    let mut uniform = || ((random.next_u64() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
}

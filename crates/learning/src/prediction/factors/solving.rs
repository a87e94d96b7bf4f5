//! One row after the other, solved exactly. In come a row's entries and the vectors of what they are entries of; out goes the row's
//! own vector.
//!
//! With `H` the vectors of the entries, each times the root of its confidence, and `D` the diagonal of [`Basis`] times `alpha0`
//! plus the ridge, a row is `(D + H^T H) x = H^T s`, where `s` are those roots. That is as many equations as a vector is wide. By
//! Woodbury's identity (Golub and Van Loan, "Matrix Computations", section 2.1) it is also
//! `x = D^-1 H^T z` with `(1 + H D^-1 H^T) z = s`: as many as the row has entries. Whichever are fewer are solved, by Cholesky.

use super::basis::Basis;
use super::interactions::Interactions;
use super::{Params, tile};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows that a thread takes at once: few enough that busy ones are spread.
const CHUNK_ROWS: usize = 16;
/// Vectors that are gathered before their products are added up: what stays in the nearest cache.
const BLOCK_ENTRIES: usize = 64;
/// Up to so many entries are solved without registers full of equations.
const FEW: usize = 8;

/// What every row has in common.
pub(super) struct Rows<'a> {
    pub(super) params: &'a Params,
    /// A row each vector that is looked for. Weights are confidences.
    pub(super) interactions: &'a Interactions,
    pub(super) basis: &'a Basis,
}

/// A thread's workplace.
struct Bench {
    matrix: Vec<f32>,
    inverse: Vec<f32>,
    right: Vec<f32>,
    solution: Vec<f32>,
    gathered: Vec<f32>,
    turned: Vec<f32>,
    diagonal: Vec<f32>,
    roots: Vec<f32>,
}

struct Chunk<'a> {
    rows: &'a Rows<'a>,
    first: usize,
    found: &'a mut [f32],
    bench: &'a mut Bench,
}

impl Rows<'_> {
    /// The vectors of all rows, one after the other. One that cannot be solved in f32 is all zeros.
    pub(super) fn solve(&self) -> Vec<f32> {
        let width = self.basis.width;
        let mut found = vec![0.0; self.interactions.rows() * width];
        found.par_chunks_mut(CHUNK_ROWS * width).enumerate().for_each_init(
            || Bench::new(width),
            |bench, (chunk, found)| {
                Arch::new().dispatch(Chunk { rows: self, first: chunk * CHUNK_ROWS, found, bench });
            },
        );
        found
    }
}

impl Bench {
    fn new(width: usize) -> Self {
        Self {
            matrix: vec![0.0; width * width],
            inverse: vec![0.0; width],
            right: vec![0.0; width],
            solution: vec![0.0; width],
            gathered: vec![0.0; BLOCK_ENTRIES.max(width) * width],
            turned: vec![0.0; width * width],
            diagonal: vec![0.0; width],
            roots: vec![0.0; width],
        }
    }
}

impl WithSimd for Chunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Rows { params, interactions, basis } = *self.rows;
        let (width, bench) = (basis.width, self.bench);
        for (place, found) in self.found.chunks_exact_mut(width).enumerate() {
            let (places, weights) = interactions.row(self.first + place);
            if places.is_empty() {
                continue;
            }
            let ridge = params.ridge(places.len(), interactions.columns());
            for (value, squares) in bench.diagonal.iter_mut().zip(&basis.squares) {
                *value = params.unobserved * squares + ridge;
            }
            let solved = if places.len() > FEW && tile::padded(places.len()) >= width {
                by_width(simd, bench, basis, places, weights, found)
            } else {
                by_entries(simd, bench, basis, places, weights, found)
            };
            if !solved {
                found.fill(0.0);
            }
        }
    }
}

/// As many equations as a vector is wide.
#[inline(always)]
fn by_width<S: Simd>(
    simd: S,
    bench: &mut Bench,
    basis: &Basis,
    places: &[u32],
    weights: &[f32],
    found: &mut [f32],
) -> bool {
    let width = basis.width;
    bench.matrix.fill(0.0);
    for (place, value) in bench.diagonal.iter().enumerate() {
        bench.matrix[place * (width + 1)] = *value;
    }
    bench.right.fill(0.0);
    for (places, weights) in places.chunks(BLOCK_ENTRIES).zip(weights.chunks(BLOCK_ENTRIES)) {
        let gathered = &mut bench.gathered[..places.len() * width];
        for ((into, place), weight) in gathered.chunks_exact_mut(width).zip(places).zip(weights) {
            let vector = &basis.vectors[*place as usize * width..][..width];
            tile::scaled(simd, into, vector, weight.sqrt());
            tile::add_scaled(simd, &mut bench.right, vector, *weight);
        }
        tile::add_products(simd, &mut bench.matrix, width, gathered);
    }
    let solved = tile::factor(simd, &mut bench.matrix, width, &mut bench.inverse);
    if solved {
        tile::solve(simd, &bench.matrix, width, &bench.inverse, &mut bench.right, found);
    }
    solved
}

/// As many equations as there are entries.
#[inline(always)]
fn by_entries<S: Simd>(
    simd: S,
    bench: &mut Bench,
    basis: &Basis,
    places: &[u32],
    weights: &[f32],
    found: &mut [f32],
) -> bool {
    let (width, count) = (basis.width, places.len());
    bench.diagonal.iter_mut().for_each(|value| *value = 1.0 / value.sqrt());
    bench.roots.iter_mut().zip(weights).for_each(|(root, weight)| *root = weight.sqrt());
    for (into, place) in bench.gathered.chunks_exact_mut(width).zip(places) {
        let vector = &basis.vectors[*place as usize * width..][..width];
        tile::multiplied(simd, into, vector, &bench.diagonal);
    }
    if !(if count <= FEW { few(simd, bench, width, count) } else { several(simd, bench, width, count) }) {
        return false;
    }
    found.fill(0.0);
    let entries = bench.gathered.chunks_exact(width).zip(&bench.solution).zip(&bench.roots);
    for ((row, value), root) in entries.take(count) {
        tile::add_scaled(simd, found, row, value * root);
    }
    let unscaled = &mut bench.turned[..width];
    unscaled.copy_from_slice(found);
    tile::multiplied(simd, found, unscaled, &bench.diagonal);
    true
}

/// The system of so few entries that registers would be mostly empty, product by product. Most items have a few only.
#[inline(always)]
fn few<S: Simd>(simd: S, bench: &mut Bench, width: usize, count: usize) -> bool {
    let mut matrix = [[0.0_f32; FEW]; FEW];
    let Bench { gathered, roots, solution, .. } = bench;
    let row = |entry: usize| &gathered[entry * width..][..width];
    // The lower factor L, row by row (Golub and Van Loan, section 4.2), and L y = s on the way.
    for one in 0..count {
        for other in 0..=one {
            let product = roots[one] * roots[other] * tile::dot(simd, row(one), row(other));
            let done: f32 = (0..other).map(|place| matrix[one][place] * matrix[other][place]).sum();
            let value = product - done + if one == other { 1.0 } else { 0.0 };
            if one == other && !(value > 0.0 && value < f32::INFINITY) {
                return false;
            }
            matrix[one][other] = if one == other { value.sqrt() } else { value / matrix[other][other] };
        }
        let done: f32 = (0..one).map(|place| matrix[one][place] * solution[place]).sum();
        solution[one] = (roots[one] - done) / matrix[one][one];
    }
    for one in (0..count).rev() {
        let done: f32 = (one + 1..count).map(|place| matrix[place][one] * solution[place]).sum();
        solution[one] = (solution[one] - done) / matrix[one][one];
    }
    true
}

/// The system of more entries, and of some that say nothing, up to a multiple of [`tile::GRAIN`].
#[inline(always)]
fn several<S: Simd>(simd: S, bench: &mut Bench, width: usize, count: usize) -> bool {
    let size = tile::padded(count);
    let (turned, matrix) = (&mut bench.turned[..size * width], &mut bench.matrix[..size * size]);
    bench.roots[count..size].fill(0.0);
    turned.fill(0.0);
    for ((entry, row), root) in bench.gathered.chunks_exact(width).take(count).enumerate().zip(&bench.roots) {
        for (column, value) in turned.chunks_exact_mut(size).zip(row) {
            column[entry] = value * root;
        }
    }
    matrix.fill(0.0);
    for place in 0..size {
        matrix[place * (size + 1)] = 1.0;
    }
    tile::add_products(simd, matrix, size, turned);
    let solved = tile::factor(simd, matrix, size, &mut bench.inverse[..size]);
    if solved {
        let (right, solution) = (&mut bench.right[..size], &mut bench.solution[..size]);
        right.copy_from_slice(&bench.roots[..size]);
        tile::solve(simd, matrix, size, &bench.inverse[..size], right, solution);
    }
    solved
}

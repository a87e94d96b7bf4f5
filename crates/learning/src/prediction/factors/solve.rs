//! Exact solution of all rows of one side, given the vectors of the other side.
//!
//! With `H` the vectors of a row's entries, each times the root of its confidence, and `D` the diagonal of [`Basis`] times `alpha0`
//! plus the ridge, a row is `(D + H^T H) x = H^T s`, where `s` are those roots: as many equations as the width. By Woodbury's
//! identity (Golub and Van Loan, "Matrix Computations", section 2.1) it is also `x = D^-1 H^T z` with `(1 + H D^-1 H^T) z = s`: as
//! many equations as the row has entries. The smaller system is solved, by Cholesky.

use super::basis::Basis;
use super::interactions::InteractionMatrix;
use super::params::Params;
use super::tile;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows per task: few enough that rows with many entries are spread over the threads.
const CHUNK_ROWS: usize = 16;
/// Vectors gathered before their outer products are added: they stay in the first-level cache.
const BLOCK_ENTRIES: usize = 64;
/// Number of entries up to which a system is solved without SIMD tiles, which would be mostly empty.
const FEW_ENTRIES: usize = 8;

/// Input that all rows of one side share.
pub(super) struct RowSolver<'a> {
    pub(super) params: &'a Params,
    /// Rows to solve; weights are confidences.
    pub(super) interactions: &'a InteractionMatrix,
    pub(super) basis: &'a Basis,
}

/// Scratch memory of a thread, allocated once for all its rows.
struct SolverScratch {
    matrix: Vec<f32>,
    inverse: Vec<f32>,
    right_side: Vec<f32>,
    solution: Vec<f32>,
    gathered: Vec<f32>,
    rotated: Vec<f32>,
    diagonal: Vec<f32>,
    roots: Vec<f32>,
}

struct SolverChunk<'a> {
    rows: &'a RowSolver<'a>,
    first: usize,
    solutions: &'a mut [f32],
    scratch: &'a mut SolverScratch,
}

impl RowSolver<'_> {
    /// Solves all rows, row-major. A row that cannot be solved in f32 is all zeros.
    pub(super) fn solve(&self) -> Vec<f32> {
        let width = self.basis.width;
        let mut solutions = vec![0.0; self.interactions.rows() * width];
        solutions.par_chunks_mut(CHUNK_ROWS * width).enumerate().for_each_init(
            || SolverScratch::new(width),
            |scratch, (chunk, solutions)| {
                Arch::new().dispatch(SolverChunk {
                    rows: self,
                    first: chunk * CHUNK_ROWS,
                    solutions,
                    scratch,
                });
            },
        );
        solutions
    }
}

impl SolverScratch {
    fn new(width: usize) -> Self {
        Self {
            matrix: vec![0.0; width * width],
            inverse: vec![0.0; width],
            right_side: vec![0.0; width],
            solution: vec![0.0; width],
            gathered: vec![0.0; BLOCK_ENTRIES.max(width) * width],
            rotated: vec![0.0; width * width],
            diagonal: vec![0.0; width],
            roots: vec![0.0; width],
        }
    }
}

impl WithSimd for SolverChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let RowSolver { params, interactions, basis } = *self.rows;
        let width = basis.width;
        let scratch = self.scratch;
        for (index, solution) in self.solutions.chunks_exact_mut(width).enumerate() {
            let (columns, weights) = interactions.row(self.first + index);
            if columns.is_empty() {
                continue;
            }
            let ridge = params.ridge(columns.len(), interactions.columns());
            for (value, squares) in scratch.diagonal.iter_mut().zip(&basis.squares) {
                *value = params.unobserved * squares + ridge;
            }
            // The smaller of the two systems, counted in whole tiles.
            let solved = if columns.len() > FEW_ENTRIES && tile::padded(columns.len()) >= width {
                by_width(simd, scratch, basis, columns, weights, solution)
            } else {
                by_entries(simd, scratch, basis, columns, weights, solution)
            };
            // A row of zeros scores 0 everywhere; a partial solution would score anything.
            if !solved {
                solution.fill(0.0);
            }
        }
    }
}

/// Solves a system of `width` equations, for a row with many entries.
#[inline(always)]
fn by_width<S: Simd>(
    simd: S,
    scratch: &mut SolverScratch,
    basis: &Basis,
    columns: &[u32],
    weights: &[f32],
    solution: &mut [f32],
) -> bool {
    let width = basis.width;
    scratch.matrix.fill(0.0);
    for (index, value) in scratch.diagonal.iter().enumerate() {
        scratch.matrix[index * (width + 1)] = *value;
    }
    scratch.right_side.fill(0.0);
    for (columns, weights) in columns.chunks(BLOCK_ENTRIES).zip(weights.chunks(BLOCK_ENTRIES)) {
        let gathered = &mut scratch.gathered[..columns.len() * width];
        for ((into, column), weight) in gathered.chunks_exact_mut(width).zip(columns).zip(weights) {
            let vector = &basis.vectors[*column as usize * width..][..width];
            tile::scaled(simd, into, vector, weight.sqrt());
            tile::add_scaled(simd, &mut scratch.right_side, vector, *weight);
        }
        tile::add_products(simd, &mut scratch.matrix, width, gathered);
    }
    let solved = tile::factor(simd, &mut scratch.matrix, width, &mut scratch.inverse);
    if solved {
        tile::solve(simd, &scratch.matrix, width, &scratch.inverse, &mut scratch.right_side, solution);
    }
    solved
}

/// Solves a system with one equation per entry (Woodbury), for a row with few.
#[inline(always)]
fn by_entries<S: Simd>(
    simd: S,
    scratch: &mut SolverScratch,
    basis: &Basis,
    columns: &[u32],
    weights: &[f32],
    solution: &mut [f32],
) -> bool {
    let width = basis.width;
    let count = columns.len();
    // With D^-1/2 on both sides the system `1 + G G^T` is symmetric, and its eigenvalues are at least 1.
    scratch.diagonal.iter_mut().for_each(|value| *value = 1.0 / value.sqrt());
    scratch.roots.iter_mut().zip(weights).for_each(|(root, weight)| *root = weight.sqrt());
    for (into, column) in scratch.gathered.chunks_exact_mut(width).zip(columns) {
        let vector = &basis.vectors[*column as usize * width..][..width];
        tile::multiplied(simd, into, vector, &scratch.diagonal);
    }
    let solved = if count <= FEW_ENTRIES {
        solve_few_entries(simd, scratch, width, count)
    } else {
        solve_many_entries(simd, scratch, width, count)
    };
    if !solved {
        return false;
    }
    solution.fill(0.0);
    let entries = scratch.gathered.chunks_exact(width).zip(&scratch.solution).zip(&scratch.roots);
    for ((row, value), root) in entries.take(count) {
        tile::add_scaled(simd, solution, row, value * root);
    }
    // The other D^-1/2 of `x = D^-1 H^T z`.
    let unscaled = &mut scratch.rotated[..width];
    unscaled.copy_from_slice(solution);
    tile::multiplied(simd, solution, unscaled, &scratch.diagonal);
    true
}

/// Cholesky for at most [`FEW_ENTRIES`] entries, in scalars. Most items have only a few.
#[inline(always)]
fn solve_few_entries<S: Simd>(simd: S, scratch: &mut SolverScratch, width: usize, count: usize) -> bool {
    let mut matrix = [[0.0_f32; FEW_ENTRIES]; FEW_ENTRIES];
    let SolverScratch { gathered, roots, solution, .. } = scratch;
    // Lower factor L, row by row (Golub and Van Loan, section 4.2), and L y = s on the way.
    for row in 0..count {
        for column in 0..=row {
            let product = roots[row]
                * roots[column]
                * tile::dot(simd, entry(gathered, row, width), entry(gathered, column, width));
            let known: f32 = (0..column).map(|index| matrix[row][index] * matrix[column][index]).sum();
            let value = product - known + if row == column { 1.0 } else { 0.0 };
            if row == column && !(value > 0.0 && value < f32::INFINITY) {
                return false;
            }
            matrix[row][column] = if row == column { value.sqrt() } else { value / matrix[column][column] };
        }
        let known: f32 = (0..row).map(|index| matrix[row][index] * solution[index]).sum();
        solution[row] = (roots[row] - known) / matrix[row][row];
    }
    for row in (0..count).rev() {
        let known: f32 = (row + 1..count).map(|index| matrix[index][row] * solution[index]).sum();
        solution[row] = (solution[row] - known) / matrix[row][row];
    }
    true
}

#[inline(always)]
fn entry(gathered: &[f32], index: usize, width: usize) -> &[f32] {
    &gathered[index * width..][..width]
}

/// Cholesky in tiles for more entries, padded with identity rows to a multiple of [`tile::GRAIN`].
#[inline(always)]
fn solve_many_entries<S: Simd>(simd: S, scratch: &mut SolverScratch, width: usize, count: usize) -> bool {
    let size = tile::padded(count);
    // Transposed, because `add_products` sums over rows, and this system has a row per entry.
    let rotated = &mut scratch.rotated[..size * width];
    let matrix = &mut scratch.matrix[..size * size];
    // Roots of an earlier and longer row would enter through the padding.
    scratch.roots[count..size].fill(0.0);
    rotated.fill(0.0);
    for ((entry, row), root) in
        scratch.gathered.chunks_exact(width).take(count).enumerate().zip(&scratch.roots)
    {
        for (column, value) in rotated.chunks_exact_mut(size).zip(row) {
            column[entry] = value * root;
        }
    }
    matrix.fill(0.0);
    for index in 0..size {
        matrix[index * (size + 1)] = 1.0;
    }
    tile::add_products(simd, matrix, size, rotated);
    let solved = tile::factor(simd, matrix, size, &mut scratch.inverse[..size]);
    if solved {
        let right_side = &mut scratch.right_side[..size];
        let solution = &mut scratch.solution[..size];
        right_side.copy_from_slice(&scratch.roots[..size]);
        tile::solve(simd, matrix, size, &scratch.inverse[..size], right_side, solution);
    }
    solved
}

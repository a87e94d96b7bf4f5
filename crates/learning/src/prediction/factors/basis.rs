//! The side that is held still while the other is solved. In come its vectors; out go the same vectors in the axes in which the
//! sum of their outer products is diagonal, and that diagonal. Turning the axes changes no product of two vectors, and makes
//! what all rows have in common a diagonal: a row with few entries is then a system of as many equations.

use super::tile;
use linfa_linalg::eigh::EighInto;
use ndarray::Array2;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows whose products one thread adds up; of these, so many in f32 at once.
const CHUNK_ROWS: usize = 1_024;
const BLOCK_ROWS: usize = 128;

/// Vectors in their own axes.
pub(super) struct Basis {
    /// Row after row, `width` numbers each.
    pub(super) vectors: Vec<f32>,
    /// A multiple of [`tile::GRAIN`].
    pub(super) width: usize,
    /// By axis: the sum of the squares of the vectors' numbers in it, not below 0.
    pub(super) squares: Vec<f32>,
}

impl Basis {
    pub(super) fn new(vectors: &[f32], width: usize) -> Self {
        let (squares, axes) = gram(vectors, width)
            .eigh_into()
            .unwrap_or_else(|_| (vec![0.0; width].into(), Array2::eye(width)));
        let axes: Vec<f32> = axes.iter().map(|value| *value as f32).collect();
        let mut turned = vec![0.0; vectors.len()];
        turned
            .par_chunks_mut(CHUNK_ROWS * width)
            .zip(vectors.par_chunks(CHUNK_ROWS * width))
            .for_each(|(turned, rows)| Arch::new().dispatch(Turn { turned, rows, axes: &axes, width }));
        let squares = squares.iter().map(|value| value.max(0.0) as f32).collect();
        Self { vectors: turned, width, squares }
    }
}

/// The sum of the outer products of the vectors with themselves.
pub(super) fn gram(vectors: &[f32], width: usize) -> Array2<f64> {
    let chunks: Vec<Vec<f64>> = vectors
        .par_chunks(CHUNK_ROWS * width)
        .map(|rows| {
            let mut sums = vec![0.0; width * width];
            Arch::new().dispatch(Products { rows, width, sums: &mut sums });
            sums
        })
        .collect();
    let mut total = vec![0.0; width * width];
    for chunk in chunks {
        total.iter_mut().zip(chunk).for_each(|(total, sum)| *total += sum);
    }
    Array2::from_shape_fn((width, width), |(row, column)| total[row.min(column) * width + row.max(column)])
}

struct Products<'a> {
    rows: &'a [f32],
    width: usize,
    sums: &'a mut [f64],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut block = vec![0.0; self.sums.len()];
        for rows in self.rows.chunks(BLOCK_ROWS * self.width) {
            block.fill(0.0);
            tile::add_products(simd, &mut block, self.width, rows);
            self.sums.iter_mut().zip(&block).for_each(|(sum, value)| *sum += f64::from(*value));
        }
    }
}

/// Rows in other axes: each is the sum of the axes (a row each number of it), weighted by its numbers.
struct Turn<'a> {
    turned: &'a mut [f32],
    rows: &'a [f32],
    axes: &'a [f32],
    width: usize,
}

impl WithSimd for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        const ROWS: usize = 8;
        let width = self.width;
        let grouped = self.rows.len() / (ROWS * width) * (ROWS * width);
        let (turned, turned_rest) = self.turned.split_at_mut(grouped);
        let (rows, rest) = self.rows.split_at(grouped);
        for (turned, rows) in turned.chunks_exact_mut(ROWS * width).zip(rows.chunks_exact(ROWS * width)) {
            turn::<S, ROWS>(simd, turned, rows, self.axes, width);
        }
        for (turned, row) in turned_rest.chunks_exact_mut(width).zip(rest.chunks_exact(width)) {
            turn::<S, 1>(simd, turned, row, self.axes, width);
        }
    }
}

#[inline(always)]
fn turn<S: Simd, const ROWS: usize>(simd: S, turned: &mut [f32], rows: &[f32], axes: &[f32], width: usize) {
    let registers = width / S::F32_LANES;
    let rows: [&[f32]; ROWS] = std::array::from_fn(|row| &rows[row * width..][..width]);
    let (turned, _) = S::as_mut_simd_f32s(turned);
    let (axes, _) = S::as_simd_f32s(axes);
    for register in 0..registers {
        let mut sums = [simd.splat_f32s(0.0); ROWS];
        for (place, axis) in axes.chunks_exact(registers).enumerate() {
            for row in 0..ROWS {
                sums[row] = simd.mul_add_e_f32s(simd.splat_f32s(rows[row][place]), axis[register], sums[row]);
            }
        }
        for row in 0..ROWS {
            turned[row * registers + register] = sums[row];
        }
    }
}

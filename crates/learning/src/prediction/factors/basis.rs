//! Fixed side of an alternating least squares step, in the axes in which the sum of its outer products is diagonal. A change of axes
//! keeps all products of two vectors, and the part that all rows of the solved side share becomes a diagonal: a row with few entries
//! is then a system of as many equations as it has entries.

use super::tile;
use linfa_linalg::eigh::EighInto;
use ndarray::Array2;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows per thread, and rows summed in f32 before they are added to the f64 sums.
const CHUNK_ROWS: usize = 1_024;
const BLOCK_ROWS: usize = 128;

/// Vectors in the eigenvectors' axes.
pub(super) struct Basis {
    /// Vectors, row-major, `width` numbers each.
    pub(super) vectors: Vec<f32>,
    /// Padded width, a multiple of [`tile::GRAIN`].
    pub(super) width: usize,
    /// Eigenvalues: per axis the sum of the vectors' squared numbers, at least 0.
    pub(super) squares: Vec<f32>,
}

impl Basis {
    pub(super) fn new(vectors: &[f32], width: usize) -> Self {
        // The decomposition fails only for values that are not finite; solving then fails and gives zero rows.
        let (squares, axes) = gram(vectors, width)
            .eigh_into()
            .unwrap_or_else(|_| (vec![0.0; width].into(), Array2::eye(width)));
        let axes: Vec<f32> = axes.iter().map(|value| *value as f32).collect();
        let mut rotated = vec![0.0; vectors.len()];
        rotated.par_chunks_mut(CHUNK_ROWS * width).zip(vectors.par_chunks(CHUNK_ROWS * width)).for_each(
            |(output, rows)| Arch::new().dispatch(ChangeOfBasis { output, rows, axes: &axes, width }),
        );
        // Rounding can make the least eigenvalues negative, and a system with this diagonal indefinite.
        let squares = squares.iter().map(|value| value.max(0.0) as f32).collect();
        Self { vectors: rotated, width, squares }
    }
}

/// Gram matrix of the vectors (`width x width`): the sum of the outer products of the rows with themselves.
pub(super) fn gram(vectors: &[f32], width: usize) -> Array2<f64> {
    let chunks: Vec<Vec<f64>> = vectors
        .par_chunks(CHUNK_ROWS * width)
        .map(|rows| {
            let mut sums = vec![0.0; width * width];
            Arch::new().dispatch(GramProducts { rows, width, sums: &mut sums });
            sums
        })
        .collect();
    // Chunks are added in order, so that the sum does not depend on the threads.
    let mut total = vec![0.0; width * width];
    for chunk in chunks {
        total.iter_mut().zip(chunk).for_each(|(total, sum)| *total += sum);
    }
    // Only the upper triangle of a tile is complete.
    Array2::from_shape_fn((width, width), |(row, column)| total[row.min(column) * width + row.max(column)])
}

struct GramProducts<'a> {
    rows: &'a [f32],
    width: usize,
    sums: &'a mut [f64],
}

impl WithSimd for GramProducts<'_> {
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

/// Rows in new axes: each output row is the sum of the axes (rows of `axes`), weighted by the numbers of the input row.
struct ChangeOfBasis<'a> {
    output: &'a mut [f32],
    rows: &'a [f32],
    axes: &'a [f32],
    width: usize,
}

impl WithSimd for ChangeOfBasis<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Eight accumulators hide the latency of a fused multiply-add.
        const ROWS: usize = 8;
        let width = self.width;
        let grouped = self.rows.len() / (ROWS * width) * (ROWS * width);
        let (output, output_rest) = self.output.split_at_mut(grouped);
        let (rows, rest) = self.rows.split_at(grouped);
        for (output, rows) in output.chunks_exact_mut(ROWS * width).zip(rows.chunks_exact(ROWS * width)) {
            change_basis::<S, ROWS>(simd, output, rows, self.axes, width);
        }
        for (output, row) in output_rest.chunks_exact_mut(width).zip(rest.chunks_exact(width)) {
            change_basis::<S, 1>(simd, output, row, self.axes, width);
        }
    }
}

#[inline(always)]
fn change_basis<S: Simd, const ROWS: usize>(
    simd: S,
    output: &mut [f32],
    rows: &[f32],
    axes: &[f32],
    width: usize,
) {
    let registers = width / S::F32_LANES;
    let rows: [&[f32]; ROWS] = std::array::from_fn(|row| &rows[row * width..][..width]);
    let (output, _) = S::as_mut_simd_f32s(output);
    let (axes, _) = S::as_simd_f32s(axes);
    for register in 0..registers {
        // Each register of an axis is loaded once for all rows.
        let mut sums = [simd.splat_f32s(0.0); ROWS];
        for (index, axis) in axes.chunks_exact(registers).enumerate() {
            for row in 0..ROWS {
                sums[row] = simd.mul_add_e_f32s(simd.splat_f32s(rows[row][index]), axis[register], sums[row]);
            }
        }
        for row in 0..ROWS {
            output[row * registers + register] = sums[row];
        }
    }
}

//! Small dense linear algebra in SIMD registers: sums of outer products, Cholesky, and triangular solves. Only the upper triangle of a
//! square matrix is read; factors overwrite their input.
//!
//! Matrices are row-major with a size that is a multiple of [`GRAIN`], so that no row ends within a register. Loops are written out
//! instead of closures for the reason given in `segmentation/kmeans/kernel.rs`.

use ndarray::ArrayView2;
use pulp::Simd;

/// Sizes are multiples of this number: no supported machine has more f32 lanes.
pub(super) const GRAIN: usize = 16;

/// Next multiple of [`GRAIN`].
pub(super) fn padded(width: usize) -> usize {
    width.next_multiple_of(GRAIN)
}

/// Adds to `matrix` (`size x size`) the sum of the outer products of `rows` with themselves. Whole tiles of the upper triangle are
/// written, including the lower part of tiles on the diagonal.
#[inline(always)]
pub(super) fn add_products<S: Simd>(simd: S, matrix: &mut [f32], size: usize, rows: &[f32]) {
    if S::F32_LANES == GRAIN {
        // AVX-512 has twice the registers of AVX2: twice as many accumulators fit.
        add::<S, 16>(simd, matrix, size, rows);
    } else {
        add::<S, 8>(simd, matrix, size, rows);
    }
}

#[inline(always)]
fn add<S: Simd, const ROWS: usize>(simd: S, matrix: &mut [f32], size: usize, rows: &[f32]) {
    for (block, target) in matrix.chunks_exact_mut(ROWS * size).enumerate() {
        for register in block * ROWS / S::F32_LANES..size / S::F32_LANES {
            update::<S, ROWS, true>(simd, target, size, block * ROWS, register, rows);
        }
    }
}

/// Adds to (or subtracts from) one register of columns in `ROWS` matrix rows the sum over `rows` of `row[first + r] * row`.
#[inline(always)]
fn update<S: Simd, const ROWS: usize, const ADD: bool>(
    simd: S,
    target: &mut [f32],
    size: usize,
    first: usize,
    register: usize,
    rows: &[f32],
) {
    let registers = size / S::F32_LANES;
    let (target, _) = S::as_mut_simd_f32s(target);
    let mut sums = [simd.splat_f32s(0.0); ROWS];
    for r in 0..ROWS {
        sums[r] = target[r * registers + register];
    }
    for row in rows.chunks_exact(size) {
        let right_side = S::as_simd_f32s(row).0[register];
        let left = &row[first..first + ROWS];
        for r in 0..ROWS {
            let left = simd.splat_f32s(left[r]);
            sums[r] = if ADD {
                simd.mul_add_e_f32s(left, right_side, sums[r])
            } else {
                simd.negate_mul_add_e_f32s(left, right_side, sums[r])
            };
        }
    }
    for r in 0..ROWS {
        target[r * registers + register] = sums[r];
    }
}

/// Cholesky factor `U` of `matrix = U^T U`, in place, and the inverse of its diagonal (Golub and Van Loan, "Matrix Computations",
/// section 4.2, blocked). Returns false if the matrix is not positive definite in f32.
#[inline(always)]
pub(super) fn factor<S: Simd>(simd: S, matrix: &mut [f32], size: usize, inverse: &mut [f32]) -> bool {
    if S::F32_LANES == GRAIN {
        factor_by::<S, 16>(simd, matrix, size, inverse)
    } else {
        factor_by::<S, 8>(simd, matrix, size, inverse)
    }
}

#[inline(always)]
fn factor_by<S: Simd, const ROWS: usize>(
    simd: S,
    matrix: &mut [f32],
    size: usize,
    inverse: &mut [f32],
) -> bool {
    let registers = size / S::F32_LANES;
    for first in (0..size).step_by(ROWS) {
        let from = first / S::F32_LANES;
        // Left-looking: a block is updated by all finished rows at once, then factored in place.
        let (done, rest) = matrix.split_at_mut(first * size);
        let block = &mut rest[..ROWS * size];
        for register in from..registers {
            update::<S, ROWS, false>(simd, block, size, first, register, done);
        }
        for pivot in 0..ROWS {
            let value = block[pivot * size + first + pivot];
            // Written so that NaN fails, too.
            if !(value > 0.0 && value < f32::INFINITY) {
                return false;
            }
            // One division a pivot; whole rows are multiplied then.
            let scale = 1.0 / value.sqrt();
            inverse[first + pivot] = scale;
            let (upper, lower) = block.split_at_mut((pivot + 1) * size);
            let upper = &mut upper[pivot * size..];
            let scale = simd.splat_f32s(scale);
            for value in &mut S::as_mut_simd_f32s(upper).0[from..] {
                *value = simd.mul_f32s(*value, scale);
            }
            let multipliers = &upper[first + pivot + 1..first + ROWS];
            let upper = &S::as_simd_f32s(upper).0[from..];
            for (row, multiplier) in lower.chunks_exact_mut(size).zip(multipliers) {
                let multiplier = simd.splat_f32s(*multiplier);
                for (value, above) in S::as_mut_simd_f32s(row).0[from..].iter_mut().zip(upper) {
                    *value = simd.negate_mul_add_e_f32s(multiplier, *above, *value);
                }
            }
        }
    }
    true
}

/// Solves `U^T U x = right_side` with the result of [`factor`]. `right_side` is overwritten; `solution` gets `x`.
#[inline(always)]
pub(super) fn solve<S: Simd>(
    simd: S,
    factor: &[f32],
    size: usize,
    inverse: &[f32],
    right_side: &mut [f32],
    solution: &mut [f32],
) {
    for (index, row) in factor.chunks_exact(size).enumerate() {
        let value = right_side[index] * inverse[index];
        solution[index] = value;
        let value = simd.splat_f32s(value);
        let from = index / S::F32_LANES;
        // The first register also holds columns before the diagonal: their right side is done and not read
        // again.
        let row = &S::as_simd_f32s(row).0[from..];
        for (rest, above) in S::as_mut_simd_f32s(right_side).0[from..].iter_mut().zip(row) {
            *rest = simd.negate_mul_add_e_f32s(value, *above, *rest);
        }
    }
    right_side.copy_from_slice(solution);
    solution.fill(0.0);
    // Numbers below the diagonal meet zeros: those entries of the solution are not set yet.
    for (index, row) in factor.chunks_exact(size).enumerate().rev() {
        let from = index / S::F32_LANES;
        let mut sum = simd.splat_f32s(0.0);
        let solved = &S::as_simd_f32s(solution).0[from..];
        for (value, above) in solved.iter().zip(&S::as_simd_f32s(row).0[from..]) {
            sum = simd.mul_add_e_f32s(*value, *above, sum);
        }
        solution[index] = (right_side[index] - simd.reduce_sum_f32s(sum)) * inverse[index];
    }
}

/// Computes `into = row * scale`, all of the same length, a multiple of [`GRAIN`].
#[inline(always)]
pub(super) fn scaled<S: Simd>(simd: S, into: &mut [f32], row: &[f32], scale: f32) {
    let scale = simd.splat_f32s(scale);
    for (into, value) in S::as_mut_simd_f32s(into).0.iter_mut().zip(S::as_simd_f32s(row).0) {
        *into = simd.mul_f32s(*value, scale);
    }
}

/// Computes `sum += row * scale`, with lengths as in [`scaled`].
#[inline(always)]
pub(super) fn add_scaled<S: Simd>(simd: S, sum: &mut [f32], row: &[f32], scale: f32) {
    let scale = simd.splat_f32s(scale);
    for (sum, value) in S::as_mut_simd_f32s(sum).0.iter_mut().zip(S::as_simd_f32s(row).0) {
        *sum = simd.mul_add_e_f32s(*value, scale, *sum);
    }
}

/// Computes the elementwise product `into = left * right`, with lengths as in [`scaled`].
#[inline(always)]
pub(super) fn multiplied<S: Simd>(simd: S, into: &mut [f32], one: &[f32], other: &[f32]) {
    let values = S::as_simd_f32s(one).0.iter().zip(S::as_simd_f32s(other).0);
    for (into, (one, other)) in S::as_mut_simd_f32s(into).0.iter_mut().zip(values) {
        *into = simd.mul_f32s(*one, *other);
    }
}

/// Dot product of two rows, with lengths as in [`scaled`].
#[inline(always)]
pub(super) fn dot<S: Simd>(simd: S, one: &[f32], other: &[f32]) -> f32 {
    let mut sum = simd.splat_f32s(0.0);
    for (one, other) in S::as_simd_f32s(one).0.iter().zip(S::as_simd_f32s(other).0) {
        sum = simd.mul_add_e_f32s(*one, *other, sum);
    }
    simd.reduce_sum_f32s(sum)
}

/// Copies rows into rows of `width` numbers, padded with zeros.
pub(super) fn pad(rows: ArrayView2<f32>, width: usize) -> Vec<f32> {
    let mut padded = vec![0.0; rows.nrows() * width];
    for (into, row) in padded.chunks_exact_mut(width).zip(rows.outer_iter()) {
        into.iter_mut().zip(row).for_each(|(into, value)| *into = *value);
    }
    padded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;
    use pulp::{Arch, WithSimd};

    /// System `A = diagonal + rows^T rows`, `A x = right_side`, solved with the registers of one machine.
    struct LinearSystem<'a> {
        size: usize,
        rows: &'a [f32],
        right_side: &'a [f32],
    }

    impl WithSimd for LinearSystem<'_> {
        type Output = Option<Vec<f32>>;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let size = self.size;
            let mut matrix = vec![0.0; size * size];
            let mut inverse = vec![0.0; size];
            let mut solution = vec![0.0; size];
            (0..size).for_each(|index| matrix[index * (size + 1)] = 0.5);
            add_products(simd, &mut matrix, size, self.rows);
            factor(simd, &mut matrix, size, &mut inverse).then(|| {
                solve(simd, &matrix, size, &inverse, &mut self.right_side.to_vec(), &mut solution);
                solution
            })
        }
    }

    #[test]
    fn a_system_is_solved_with_registers_of_any_width() {
        let mut rng = SeededRng::new(3);
        let mut random = |count: usize| -> Vec<f32> {
            (0..count).map(|_| rng.below(2001) as f32 / 1000.0 - 1.0).collect()
        };
        for (size, count) in [(16, 0), (16, 3), (32, 40), (48, 7), (64, 200), (128, 64)] {
            let (rows, right_side) = (random(count * size), random(size));
            let system = || LinearSystem { size, rows: &rows, right_side: &right_side };
            let found = [
                Arch::new().dispatch(system()),
                system().with_simd(pulp::Scalar),
                system().with_simd(pulp::Scalar128b),
                system().with_simd(pulp::Scalar256b),
                system().with_simd(pulp::Scalar512b),
            ];
            for solution in found {
                let solution = solution.expect("the matrix is positive definite");
                // A x, in f64: 0.5 x and each row times its product with x.
                let mut product: Vec<f64> = solution.iter().map(|x| 0.5 * f64::from(*x)).collect();
                for row in rows.chunks_exact(size) {
                    let along: f64 =
                        row.iter().zip(&solution).map(|(one, two)| f64::from(*one) * f64::from(*two)).sum();
                    product.iter_mut().zip(row).for_each(|(sum, value)| *sum += along * f64::from(*value));
                }
                for (found, expected) in product.iter().zip(&right_side) {
                    assert!(
                        (found - f64::from(*expected)).abs() < 1e-3,
                        "{size}, {count}: {found}, {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_has_no_factor() {
        for value in [-1.0, f32::NAN, f32::INFINITY] {
            let rows = vec![value; 16];
            let system = LinearSystem { size: 16, rows: &rows, right_side: &[1.0; 16] };
            // Squares of -1 are fine; values that are not finite are not.
            assert_eq!(Arch::new().dispatch(system).is_some(), value.is_finite(), "{value}");
        }
        let (mut matrix, mut inverse) = (vec![0.0; 256], vec![0.0; 16]);
        assert!(!factor(pulp::Scalar, &mut matrix, 16, &mut inverse));
    }
}

//! One pass over all rows: labels, and on request the sums and counts that the next centroids are computed from.
//!
//! Rows are processed in chunks, one thread per chunk. Chunks and blocks depend on the number of rows alone and are summed in order, in
//! f64, so that the result does not depend on the threads.

use super::kernel::CentroidPanels;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows per task: enough to hide its overhead, few enough that threads finish together. A whole number of blocks.
pub(super) const CHUNK_ROWS: usize = 4080;

/// Rows summed in f32, which is precise enough for so few. A whole number of groups of rows.
pub(super) const BLOCK_ROWS: usize = 240;

/// Centroids prepared for passes over rows.
///
/// The nearest centroid has the least `|x - c|^2 / 2 = |x|^2 / 2 + |c|^2 / 2 - x.c`, whose first term is the same for all centroids.
/// With `c = m + d` and `m` the mean of the centroids, terms in `m` alone are the same for all too. What remains is `offset - x.d` with
/// `offset = m.d + |d|^2 / 2`: numbers of the size of the distances between centroids, not of their distance to the origin, so that
/// f32 is precise enough.
pub(super) struct PreparedCentroids {
    differences: Array2<f32>,
    offsets: Vec<f32>,
}

/// Sums of one pass.
pub(super) struct ClusterSums {
    /// Sums of the rows by nearest centroid, `k x d`.
    pub(super) sums: Array2<f64>,
    /// Number of rows by nearest centroid.
    pub(super) counts: Vec<usize>,
    /// True if a label differs from the previous pass.
    pub(super) changed: bool,
}

/// Task of one thread, run with the widest registers of the machine.
struct AssignmentPass<'a> {
    prepared: &'a PreparedCentroids,
    /// Rows of the chunk, row-major.
    rows: &'a [f32],
    labels: &'a mut [u32],
    /// Sums to add to; `None` if only labels are needed.
    sums: Option<&'a mut ClusterSums>,
}

impl PreparedCentroids {
    /// Prepares at least one centroid (`k x d`).
    pub(super) fn new(centroids: ArrayView2<f32>) -> Self {
        // In f64: the differences are small numbers between large ones.
        let wide = centroids.mapv(f64::from);
        let mean = wide.sum_axis(Axis(0)) / wide.nrows().max(1) as f64;
        let differences = &wide - &mean;
        let offsets = differences
            .outer_iter()
            .map(|difference: ArrayView1<f64>| {
                (difference.dot(&mean) + difference.dot(&difference) / 2.0) as f32
            })
            .collect();
        let differences = differences.mapv(|value| value as f32).as_standard_layout().into_owned();
        Self { differences, offsets }
    }

    /// Writes each row's nearest centroid to `labels` and sums the rows by it. Rows (`n x d`) are in standard layout.
    pub(super) fn label_and_sum(&self, rows: ArrayView2<f32>, labels: &mut [u32]) -> ClusterSums {
        let width = rows.ncols();
        let rows = rows.to_slice().unwrap_or_default().par_chunks(CHUNK_ROWS * width);
        let chunks: Vec<ClusterSums> = rows
            .zip(labels.par_chunks_mut(CHUNK_ROWS))
            .map(|(rows, labels)| {
                let mut sums = ClusterSums::none(self.differences.dim());
                Arch::new().dispatch(AssignmentPass { prepared: self, rows, labels, sums: Some(&mut sums) });
                sums
            })
            .collect();
        let mut total = ClusterSums::none(self.differences.dim());
        chunks.iter().for_each(|chunk| total.add(chunk));
        total
    }

    /// Writes each row's nearest centroid to `labels`; rows as in [`Self::label_and_sum`].
    pub(super) fn label(&self, rows: ArrayView2<f32>, labels: &mut [u32]) {
        if rows.ncols() == 0 {
            labels.fill(0);
            return;
        }
        let width = rows.ncols();
        let rows = rows.to_slice().unwrap_or_default().par_chunks(CHUNK_ROWS * width);
        rows.zip(labels.par_chunks_mut(CHUNK_ROWS)).for_each(|(rows, labels)| {
            Arch::new().dispatch(AssignmentPass { prepared: self, rows, labels, sums: None });
        });
    }
}

impl WithSimd for AssignmentPass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Twelve registers of scores keep both multipliers busy and leave four of sixteen for operands. With two registers of centroids
        // a row is read half as often; with an odd number half of the last two would be padding.
        let registers = self.prepared.offsets.len().div_ceil(S::F32_LANES);
        if registers.is_multiple_of(2) { self.run::<S, 6, 2>(simd) } else { self.run::<S, 12, 1>(simd) }
    }
}

impl AssignmentPass<'_> {
    /// Processes `ROWS` rows at once with `REGISTERS` registers of centroids.
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize, const REGISTERS: usize>(mut self, simd: S) {
        let (centroids, width) = self.prepared.differences.dim();
        let differences = self.prepared.differences.as_slice().unwrap_or_default();
        let panels = CentroidPanels::<S, REGISTERS>::new(simd, differences, &self.prepared.offsets, width);
        let mut block_sums = vec![0.0_f32; if self.sums.is_some() { centroids * width } else { 0 }];
        let blocks = self.rows.chunks(BLOCK_ROWS * width).zip(self.labels.chunks_mut(BLOCK_ROWS));
        for (rows, labels) in blocks {
            // A block is a whole number of groups, so single rows are left in the very last block only.
            let grouped = labels.len() / ROWS * ROWS;
            let (groups, rest) = labels.split_at_mut(grouped);
            let (group_rows, rest_rows) = rows.split_at(grouped * width);
            for (rows, labels) in group_rows.chunks_exact(ROWS * width).zip(groups.chunks_exact_mut(ROWS)) {
                note(
                    &panels.label::<ROWS>(simd, rows),
                    rows,
                    labels,
                    self.sums.as_deref_mut(),
                    &mut block_sums,
                );
            }
            for (row, label) in rest_rows.chunks_exact(width).zip(rest.chunks_exact_mut(1)) {
                note(&panels.label::<1>(simd, row), row, label, self.sums.as_deref_mut(), &mut block_sums);
            }
            if let Some(sums) = self.sums.as_deref_mut() {
                let totals = sums.sums.as_slice_mut().unwrap_or_default();
                for (total, sum) in totals.iter_mut().zip(&block_sums) {
                    *total += f64::from(*sum);
                }
                block_sums.fill(0.0);
            }
        }
    }
}

/// Stores the labels of a few rows, and sums these rows while they are in the first-level cache.
#[inline(always)]
fn note(
    found: &[u32],
    rows: &[f32],
    labels: &mut [u32],
    sums: Option<&mut ClusterSums>,
    block_sums: &mut [f32],
) {
    if let Some(sums) = sums {
        let width = rows.len() / found.len();
        sums.changed |= found != labels;
        for (row, label) in rows.chunks_exact(width).zip(found) {
            let label = *label as usize;
            sums.counts[label] += 1;
            for (sum, value) in block_sums[label * width..][..width].iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
    labels.copy_from_slice(found);
}

impl ClusterSums {
    fn none(dim: (usize, usize)) -> Self {
        Self { sums: Array2::zeros(dim), counts: vec![0; dim.0], changed: false }
    }

    fn add(&mut self, other: &Self) {
        self.sums += &other.sums;
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.changed |= other.changed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;

    fn random(rng: &mut SeededRng, rows: usize, columns: usize) -> Array2<f32> {
        Array2::from_shape_simple_fn((rows, columns), || rng.below(2001) as f32 / 100.0 - 10.0)
    }

    fn squared(left: ArrayView1<f32>, right: ArrayView1<f32>) -> f64 {
        left.iter().zip(right).map(|(left, right)| (f64::from(*left) - f64::from(*right)).powi(2)).sum()
    }

    #[test]
    fn every_row_gets_its_nearest_centroid_and_is_summed_once() {
        let mut rng = SeededRng::new(1);
        for count in [1, 5, 6, 7, 12, 13, 240, 241, 4080, 4093] {
            for (columns, k) in [(1, 1), (3, 2), (16, 15), (17, 16), (64, 17), (65, 32), (9, 33), (2, 100)] {
                let rows = random(&mut rng, count, columns);
                let centroids = random(&mut rng, k, columns);
                let mut labels = vec![u32::MAX; count];
                let found = PreparedCentroids::new(centroids.view()).label_and_sum(rows.view(), &mut labels);
                let mut expected = ClusterSums::none((k, columns));
                for (row, label) in rows.outer_iter().zip(&labels) {
                    let label = *label as usize;
                    let distance = squared(row, centroids.row(label));
                    let least =
                        centroids.outer_iter().map(|other| squared(row, other)).fold(f64::MAX, f64::min);
                    assert!(distance <= least + 1e-3, "{count} x {columns}, {k}: {distance} and {least}");
                    expected.counts[label] += 1;
                    expected.sums.row_mut(label).zip_mut_with(&row, |sum, value| *sum += f64::from(*value));
                }
                assert_eq!(found.counts, expected.counts);
                let largest =
                    (&found.sums - &expected.sums).iter().fold(0.0, |one: f64, two| one.max(two.abs()));
                assert!(largest < 1e-2, "{count} x {columns}, {k}: sums are off by {largest}");
            }
        }
    }

    #[test]
    fn labels_do_not_depend_on_the_width_of_the_registers() {
        let mut rng = SeededRng::new(2);
        for k in [1, 2, 3, 7, 8, 9, 16, 31, 32, 33, 47] {
            let rows = random(&mut rng, 500, 20);
            let centroids = random(&mut rng, k, 20);
            let prepared = PreparedCentroids::new(centroids.view());
            let slice = rows.as_slice().unwrap();
            let mut found = [const { [0_u32; 500] }; 5];
            let [machine, one, four, eight, sixteen] = &mut found;
            let turn = |labels| AssignmentPass { prepared: &prepared, rows: slice, labels, sums: None };
            Arch::new().dispatch(turn(machine));
            turn(one).with_simd(pulp::Scalar);
            turn(four).with_simd(pulp::Scalar128b);
            turn(eight).with_simd(pulp::Scalar256b);
            turn(sixteen).with_simd(pulp::Scalar512b);
            assert!(found.iter().all(|labels| labels == &found[0]), "k={k}");
        }
    }

    #[test]
    fn the_lower_index_of_equal_centroids_is_taken() {
        let rows = Array2::from_elem((20, 3), 1.0);
        for (k, first) in [(2, 0), (5, 3), (40, 0), (40, 17), (40, 39), (40, 20)] {
            let centroids =
                Array2::from_shape_fn((k, 3), |(index, _)| if index < first { -1.0 } else { 1.0 });
            let mut labels = vec![u32::MAX; 20];
            PreparedCentroids::new(centroids.view()).label(rows.view(), &mut labels);
            assert_eq!(labels, vec![first as u32; 20], "{k} of which the first {first} are far");
        }
    }

    #[test]
    fn far_from_the_origin_the_nearest_is_still_found() {
        let centroids =
            ndarray::array![[10_000.0_f32, -10_000.0], [10_001.0, -10_000.0], [10_000.5, -10_001.0]];
        let mut labels = vec![u32::MAX; 3];
        let rows = &centroids + 0.1;
        PreparedCentroids::new(centroids.view()).label(rows.view(), &mut labels);
        assert_eq!(labels, [0, 1, 2]);
    }
}

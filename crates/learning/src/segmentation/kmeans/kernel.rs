//! Fused kernel: the product of rows and centroids, and the nearest centroid of each row, in SIMD registers. The product is never
//! written to memory.
//!
//! A register holds as many centroids as it has lanes. The scores of a few rows stay in registers while one column after the other is
//! added, as in the inner kernel of a matrix product (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM
//! TOMS 34(3), 2008, section 4), but rows are read in place and not packed.
//!
//! Loops are written out where closures would be shorter: a closure may be compiled for the oldest supported machine, and each SIMD
//! operation in it then becomes a call.

use pulp::Simd;

/// Score of the padding, which no centroid exceeds: padding never wins.
const PADDING_SCORE: f32 = f32::INFINITY;

/// Centroids in register layout, `REGISTERS` registers side by side.
pub(super) struct CentroidPanels<S: Simd, const REGISTERS: usize> {
    /// Negated differences, panel after panel, column after column.
    differences: Vec<[S::f32s; REGISTERS]>,
    /// Initial scores by panel.
    offsets: Vec<[S::f32s; REGISTERS]>,
    /// Indices of the centroids by panel, in f32, which is exact up to 2^24.
    indices: Vec<[S::f32s; REGISTERS]>,
    width: usize,
    last: u32,
}

impl<S: Simd, const REGISTERS: usize> CentroidPanels<S, REGISTERS> {
    /// Creates panels from row-major differences (`k x width`) and `k` offsets.
    #[inline(always)]
    pub(super) fn new(simd: S, differences: &[f32], offsets: &[f32], width: usize) -> Self {
        let lanes = S::F32_LANES;
        let load = |value: &dyn Fn(usize) -> f32, first: usize| -> [S::f32s; REGISTERS] {
            std::array::from_fn(|register| {
                let values: Vec<f32> =
                    (0..lanes).map(|lane| value(first + register * lanes + lane)).collect();
                simd.partial_load_f32s(&values)
            })
        };
        let starts = || (0..offsets.len()).step_by(REGISTERS * lanes);
        Self {
            differences: starts()
                .flat_map(|first| (0..width).map(move |column| (first, column)))
                .map(|(first, column)| {
                    load(&|index| differences.get(index * width + column).map_or(0.0, |value| -*value), first)
                })
                .collect(),
            offsets: starts()
                .map(|first| load(&|index| offsets.get(index).copied().unwrap_or(PADDING_SCORE), first))
                .collect(),
            indices: starts().map(|first| load(&|index| index as f32, first)).collect(),
            width,
            last: offsets.len().saturating_sub(1) as u32,
        }
    }

    /// Nearest centroids of row-major rows; the lower index of two equally near.
    #[inline(always)]
    pub(super) fn label<const ROWS: usize>(&self, simd: S, rows: &[f32]) -> [u32; ROWS] {
        let rows: [&[f32]; ROWS] = std::array::from_fn(|row| &rows[row * self.width..][..self.width]);
        let mut score_min = [simd.splat_f32s(PADDING_SCORE); ROWS];
        let mut labels = [simd.splat_f32s(PADDING_SCORE); ROWS];
        let panels = self.differences.chunks_exact(self.width).zip(&self.offsets).zip(&self.indices);
        for ((differences, offsets), indices) in panels {
            let mut scores = [*offsets; ROWS];
            for (column, differences) in differences.iter().enumerate() {
                for row in 0..ROWS {
                    // Rows are broadcast and centroids lie in lanes: no score needs a sum across lanes.
                    let value = simd.splat_f32s(rows[row][column]);
                    for register in 0..REGISTERS {
                        scores[row][register] =
                            simd.mul_add_e_f32s(value, differences[register], scores[row][register]);
                    }
                }
            }
            for row in 0..ROWS {
                for register in 0..REGISTERS {
                    let score = scores[row][register];
                    // Strictly less, so that the earlier panel wins a tie.
                    let nearer = simd.less_than_f32s(score, score_min[row]);
                    score_min[row] = simd.select_f32s(nearer, score, score_min[row]);
                    labels[row] = simd.select_f32s(nearer, indices[register], labels[row]);
                }
            }
        }
        let mut nearest = [0; ROWS];
        for row in 0..ROWS {
            let lowest = simd.splat_f32s(simd.reduce_min_f32s(score_min[row]));
            // Several lanes may hold the least score: the lowest of their indices wins, as in a plain loop.
            let equally_near = simd.equal_f32s(score_min[row], lowest);
            let candidates = simd.select_f32s(equally_near, labels[row], simd.splat_f32s(PADDING_SCORE));
            // A row with values that are not finite has no candidate; the bound keeps its label in range.
            nearest[row] = (simd.reduce_min_f32s(candidates) as u32).min(self.last);
        }
        nearest
    }
}

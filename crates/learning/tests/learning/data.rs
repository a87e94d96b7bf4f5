//! Rows to learn from, and comparisons of what was learned.

use ndarray::Array2;
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

/// Random numbers that follow from a seed.
pub(crate) struct Random(Xoshiro256Plus);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256Plus::seed_from_u64(seed))
    }

    /// From 0 to 1, neither included.
    pub(crate) fn uniform(&mut self) -> f32 {
        ((self.0.next_u64() >> 41) as f32 + 0.5) / (1_u64 << 23) as f32
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() >> 32) as usize % end
    }

    /// By Box and Muller.
    pub(crate) fn normal(&mut self) -> f32 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f32::consts::TAU * self.uniform()).cos()
    }
}

/// Rows from `k` Gaussians of deviation 1 whose means have deviation `spread` in every column, and which of them each is from.
pub(crate) fn mixture(
    seed: u64,
    rows: usize,
    columns: usize,
    k: usize,
    spread: f32,
) -> (Array2<f32>, Vec<u32>) {
    let mut random = Random::new(seed);
    let means = Array2::from_shape_simple_fn((k, columns), || spread * random.normal());
    let origins: Vec<u32> = (0..rows).map(|_| random.below(k) as u32).collect();
    let values = Array2::from_shape_fn((rows, columns), |(row, column)| {
        means[(origins[row] as usize, column)] + random.normal()
    });
    (values, origins)
}

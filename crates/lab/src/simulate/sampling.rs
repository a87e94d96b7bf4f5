//! Random draws from distributions that `rand` lacks without another crate.

use rand::RngExt;
use rand::rngs::StdRng;

/// Draws an index in proportion to its weight. Weights of 0 or less are never drawn; without a positive weight it is
/// the last index.
pub(super) fn weighted(rng: &mut StdRng, weights: &[f64]) -> usize {
    let total: f64 = weights.iter().filter(|weight| **weight > 0.0).sum();
    let mut left = rng.random::<f64>() * total;
    // Rounding may leave a remainder above 0 after the last weight: the last drawable index is the answer then.
    let mut last = weights.len().saturating_sub(1);
    for (index, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        last = index;
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    last
}

/// Draws from a Poisson distribution of this mean (Knuth's product of uniforms), capped at 20.
pub(super) fn poisson(rng: &mut StdRng, mean: f64) -> u32 {
    // The method needs time in proportion to the mean, which is small for visits of a day.
    let limit = (-mean).exp();
    let mut product: f64 = rng.random();
    let mut count = 0;
    while product > limit && count < 20 {
        product *= rng.random::<f64>();
        count += 1;
    }
    count
}

/// Draws from an exponential distribution of this mean.
pub(super) fn exponential(rng: &mut StdRng, mean: f64) -> f64 {
    // 1 minus a draw from [0, 1) is never 0.
    -mean * (1.0 - rng.random::<f64>()).ln()
}

/// Draws an element of a list uniformly; the list must not be empty.
pub(super) fn one_of<T: Copy>(rng: &mut StdRng, list: &[T]) -> T {
    list[rng.random_range(0..list.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn draws_follow_their_distribution() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut counts = [0.0_f64; 4];
        for _ in 0..20_000 {
            counts[weighted(&mut rng, &[1.0, 0.0, 3.0, -5.0])] += 1.0 / 20_000.0;
        }
        assert!((counts[0] - 0.25).abs() < 0.02 && (counts[2] - 0.75).abs() < 0.02, "{counts:?}");
        assert_eq!((counts[1], counts[3]), (0.0, 0.0));
        let visits: u32 = (0..20_000).map(|_| poisson(&mut rng, 0.7)).sum();
        assert!((f64::from(visits) / 20_000.0 - 0.7).abs() < 0.03, "{visits}");
        let wait: f64 = (0..20_000).map(|_| exponential(&mut rng, 40.0)).sum();
        assert!((wait / 20_000.0 - 40.0).abs() < 2.0, "{wait}");
    }
}

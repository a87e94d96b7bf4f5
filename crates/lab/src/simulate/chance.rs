//! Draws that the standard ones do not cover: in go a source of randomness and the shape, out comes one draw.

use rand::RngExt;
use rand::rngs::StdRng;

/// An index, each as likely as its weight; weights that are not above 0 are never drawn. The last one if none is.
pub(super) fn weighted(chance: &mut StdRng, weights: &[f64]) -> usize {
    let total: f64 = weights.iter().filter(|weight| **weight > 0.0).sum();
    let mut left = chance.random::<f64>() * total;
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

/// How often something happens that happens `mean` times on average, independently (Knuth's product of uniforms); 20 at most.
pub(super) fn poisson(chance: &mut StdRng, mean: f64) -> u32 {
    let limit = (-mean).exp();
    let mut product: f64 = chance.random();
    let mut count = 0;
    while product > limit && count < 20 {
        product *= chance.random::<f64>();
        count += 1;
    }
    count
}

/// A wait of `mean` on average whose end does not depend on how long it lasted already.
pub(super) fn exponential(chance: &mut StdRng, mean: f64) -> f64 {
    // 1 minus a draw from [0, 1) is never 0.
    -mean * (1.0 - chance.random::<f64>()).ln()
}

/// One of a list that is never empty.
pub(super) fn one_of<T: Copy>(chance: &mut StdRng, list: &[T]) -> T {
    list[chance.random_range(0..list.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn draws_have_the_shape_they_were_asked_for() {
        let mut chance = StdRng::seed_from_u64(1);
        let mut counts = [0.0_f64; 4];
        for _ in 0..20_000 {
            counts[weighted(&mut chance, &[1.0, 0.0, 3.0, -5.0])] += 1.0 / 20_000.0;
        }
        assert!((counts[0] - 0.25).abs() < 0.02 && (counts[2] - 0.75).abs() < 0.02, "{counts:?}");
        assert_eq!((counts[1], counts[3]), (0.0, 0.0));
        let visits: u32 = (0..20_000).map(|_| poisson(&mut chance, 0.7)).sum();
        assert!((f64::from(visits) / 20_000.0 - 0.7).abs() < 0.03, "{visits}");
        let wait: f64 = (0..20_000).map(|_| exponential(&mut chance, 40.0)).sum();
        assert!((wait / 20_000.0 - 40.0).abs() < 2.0, "{wait}");
    }
}

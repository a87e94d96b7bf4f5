//! Top items without reading all factors: approximate scores with error bounds select the items that can be among the top, and only
//! those are scored exactly. The result equals that of exact scores of all items.

use crate::prediction::factors::Factors;
use ndarray::Array1;
use std::cmp::Ordering;

/// Number of lower bounds collected before the lower ones are dropped.
const CANDIDATES_MIN: usize = 256;

/// Uncertain part of approximate scores: the latent term.
pub(super) struct ApproxScores<'a> {
    query: Option<LatentQuery<'a>>,
    /// Approximate latent term of each item; empty without latent factors.
    latent: Vec<f32>,
    /// Largest possible error of each score.
    error_bounds: Vec<f32>,
}

/// Input of the exact latent term.
struct LatentQuery<'a> {
    factors: &'a Factors,
    user: Array1<f32>,
    weight: f32,
}

impl<'a> ApproxScores<'a> {
    /// Scores without a latent term, which are exact.
    pub(super) fn exact(items: usize) -> Self {
        Self { query: None, latent: Vec::new(), error_bounds: vec![0.0; items] }
    }

    /// Scores with the latent term of a user vector at the given weight.
    pub(super) fn of(factors: &'a Factors, user: Array1<f32>, weight: f32) -> Self {
        let (latent, mut error_bounds) = factors.approx_scores(user.view());
        error_bounds.iter_mut().for_each(|bound| *bound *= weight.abs());
        Self { query: Some(LatentQuery { factors, user, weight }), latent, error_bounds }
    }

    /// Approximate latent term of each item; empty without latent factors.
    pub(super) fn latent(&self) -> &[f32] {
        &self.latent
    }

    /// Largest possible error of each score.
    pub(super) fn error_bounds(&self) -> &[f32] {
        &self.error_bounds
    }

    /// Error bounds, to be extended by those of cold-start items.
    pub(super) fn error_bounds_mut(&mut self) -> &mut Vec<f32> {
        &mut self.error_bounds
    }

    /// Difference of the exact score of an item from its approximate one.
    pub(super) fn correction(&self, item: u32) -> f32 {
        let Some(LatentQuery { factors, user, weight }) = &self.query else { return 0.0 };
        let exact = factors.items().row(item as usize).dot(user);
        weight * (exact - self.latent[item as usize])
    }
}

/// Indices of the `count` highest exact scores among the `allowed` items, highest first. An exact score is the approximate one plus
/// `correction`, which lies within the item's error bound.
pub(super) fn best(
    scores: &[f32],
    error_bounds: &[f32],
    count: usize,
    allowed: impl Fn(u32) -> bool,
    correction: impl Fn(u32) -> f32,
) -> Vec<u32> {
    let Some(bound) = bound(scores, error_bounds, count, &allowed) else { return Vec::new() };
    let mut exact: Vec<(f32, u32)> = Vec::new();
    for (item, (score, error)) in (0_u32..).zip(scores.iter().zip(error_bounds)) {
        if (score + error).total_cmp(&bound) != Ordering::Less && allowed(item) {
            exact.push((score + correction(item), item));
        }
    }
    exact.sort_unstable_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
    exact.into_iter().take(count).map(|(_, item)| item).collect()
}

/// Lower bound of the exact score of the `count`-th best allowed item, or of the last one if there are fewer; an item that cannot
/// reach it is not among the top. `None` without items.
fn bound(scores: &[f32], error_bounds: &[f32], count: usize, allowed: impl Fn(u32) -> bool) -> Option<f32> {
    let mut index = count.checked_sub(1)?;
    let mut highest: Vec<f32> = Vec::new();
    let mut bound = f32::NEG_INFINITY;
    // Most items are below the bound of a partial list; `allowed`, which may be slow, is not called for them.
    for (item, (score, error)) in scores.iter().zip(error_bounds).enumerate() {
        let score_min = score - error;
        if score_min.total_cmp(&bound) == Ordering::Less || !allowed(item as u32) {
            continue;
        }
        highest.push(score_min);
        if highest.len() >= count.saturating_mul(2).max(CANDIDATES_MIN) {
            bound = keep_highest(&mut highest, index);
        }
    }
    index = index.min(highest.len().checked_sub(1)?);
    Some(keep_highest(&mut highest, index))
}

/// Keeps the highest values up to the one of rank `index`, and returns that value.
fn keep_highest(values: &mut Vec<f32>, index: usize) -> f32 {
    let (_, lowest, _) = values.select_nth_unstable_by(index, |left, right| right.total_cmp(left));
    let lowest = *lowest;
    values.truncate(index + 1);
    lowest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_items_are_those_of_exact_scores_for_any_count() {
        let items = 3_000_u32;
        let exact = |item: u32| f32::from(u16::try_from(item * 7_919 % 2_003).expect("small")) / 100.0;
        let error = |item: u32| (f32::from(u16::try_from(item * 31 % 17).expect("small")) - 8.0) / 10.0;
        let scores: Vec<f32> = (0..items).map(|item| exact(item) - error(item)).collect();
        let error_bounds: Vec<f32> = (0..items).map(|item| error(item).abs() + 1e-4).collect();
        let allowed = |item: u32| !item.is_multiple_of(3);
        let mut all: Vec<u32> = (0..items).filter(|item| allowed(*item)).collect();
        all.sort_by_key(|item| (std::cmp::Reverse((exact(*item) * 100.0).round() as i32), *item));
        // Corrections of equal scores may round differently, so items are compared by their exact scores.
        let exact_scores = |best: &[u32]| {
            best.iter().map(|item| (exact(*item) * 100.0).round() as i32).collect::<Vec<i32>>()
        };
        for count in [0, 1, 20, 127, 129, 1_999, 2_000, 9_000] {
            let best = best(&scores, &error_bounds, count, allowed, error);
            assert_eq!(exact_scores(&best), exact_scores(&all[..count.min(all.len())]), "{count}");
            assert!(best.iter().all(|item| allowed(*item)), "{count}");
        }
        assert_eq!(best(&scores, &error_bounds, 5, |_| false, error), Vec::<u32>::new());
    }
}

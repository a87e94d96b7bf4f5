//! Selection of the number of segments by bootstrap stability and simplified silhouette. The fits made for it are discarded; the
//! selected number is then fitted on all rows.

use crate::error::Error;
use crate::evaluation::adjusted_rand_index;
use crate::rng::SeededRng;
use crate::segmentation::distinct::distinct_rows;
use crate::segmentation::kmeans::{Params, assign, check_rows, fit, nearest};
use ndarray::parallel::prelude::*;
use ndarray::{ArrayView1, ArrayView2};
use std::ops::RangeInclusive;

/// Parameters of the selection.
#[derive(Clone, Debug, PartialEq)]
pub struct KSelectionParams {
    /// Candidate numbers of segments, default 4 to 12.
    pub k: RangeInclusive<usize>,
    /// Number of bootstrap resamples per candidate, default 5. More make the stability more certain; each costs one fit.
    pub bootstraps: usize,
    /// Number of sampled rows that all fits are done on, default 10,000.
    pub sample: usize,
    /// Least stability of an eligible candidate, default 0.8.
    pub stability_min: f64,
    /// Least share of rows in the smallest segment of an eligible candidate, default 0.01.
    pub share_min: f64,
    /// Share of the best silhouette that counts as equally good, default 0.95.
    pub silhouette_tolerance: f64,
    /// Parameters of each fit; its seed also determines the samples.
    pub params: Params,
}

impl Default for KSelectionParams {
    fn default() -> Self {
        Self {
            k: 4..=12,
            bootstraps: 5,
            sample: 10_000,
            stability_min: 0.8,
            share_min: 0.01,
            silhouette_tolerance: 0.95,
            params: Params::default(),
        }
    }
}

/// Measurements of one number of segments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KCandidate {
    /// Number of segments of the candidate.
    pub k: usize,
    /// Simplified silhouette, 0 to 1: how well the segments are separated.
    pub silhouette: f64,
    /// Mean adjusted Rand index with the partitions of the resamples; 1 if all are equal.
    pub stability: f64,
    /// Share of the rows in the smallest segment.
    pub smallest_share: f64,
    /// True if stability and smallest share reach their limits.
    pub eligible: bool,
}

/// Selected number of segments with all candidates.
#[derive(Clone, Debug, PartialEq)]
pub struct KSelection {
    /// Selected number of segments.
    pub k: usize,
    /// Candidates in ascending order of `k`.
    pub candidates: Vec<KCandidate>,
}

/// Selects the number of segments for scaled `rows` (`n x d`). Eligible candidates have a partition that recurs in bootstrap resamples
/// (Hennig, "Cluster-wise assessment of cluster stability", 2007) and no tiny segment. Among those within 5% of the best silhouette
/// the largest is taken, since more segments describe users better; without an eligible one, the most stable. Candidates above the
/// number of distinct rows are skipped; if all are, that number is the only candidate.
///
/// # Errors
///
/// [`Error::Parameter`] for an empty range, a range from 0, or no bootstraps or sample; [`Error::TooFew`] without rows; otherwise
/// as [`fit`].
pub fn select_k(rows: ArrayView2<f32>, params: &KSelectionParams) -> Result<KSelection, Error> {
    check(rows, params)?;
    // One sample for all candidates, so that they are compared on the same rows.
    let sample = SeededRng::new(params.params.seed).sample(rows, params.sample.max(*params.k.start()));
    // More centroids than distinct rows would leave some without rows.
    let k_max = distinct_rows(sample.view(), *params.k.end());
    let k_min = k_max.min(*params.k.start());
    let mut candidates: Vec<KCandidate> = Vec::new();
    for k in k_min..=k_max {
        candidates.push(candidate(sample.view(), k, params)?);
    }
    let best = candidates
        .iter()
        .filter(|candidate| candidate.eligible)
        .map(|candidate| candidate.silhouette)
        .max_by(f64::total_cmp);
    let chosen = match best {
        Some(best) => {
            let silhouette_min = params.silhouette_tolerance * best;
            candidates
                .iter()
                .rev()
                .find(|candidate| candidate.eligible && candidate.silhouette >= silhouette_min)
        }
        // `max_by` takes the last of equals: reversed, the fewest segments.
        None => candidates.iter().rev().max_by(|left, right| left.stability.total_cmp(&right.stability)),
    };
    let k = chosen.map(|candidate| candidate.k).ok_or(Error::TooFew { rows: rows.nrows(), needed: 1 })?;
    Ok(KSelection { k, candidates })
}

fn check(rows: ArrayView2<f32>, params: &KSelectionParams) -> Result<(), Error> {
    for (parameter, wrong, problem) in [
        ("k", params.k.is_empty(), "is an empty range"),
        ("k", *params.k.start() == 0, "starts at 0"),
        ("bootstraps", params.bootstraps == 0, "is 0"),
        ("sample", params.sample == 0, "is 0"),
    ] {
        if wrong {
            return Err(Error::Parameter { parameter, problem: problem.to_owned() });
        }
    }
    check_rows(rows, 1)
}

fn candidate(sample: ArrayView2<f32>, k: usize, params: &KSelectionParams) -> Result<KCandidate, Error> {
    let reference = fit(sample, k, &params.params)?;
    let mut agreement = 0.0;
    for bootstrap in (1_u64..).take(params.bootstraps) {
        // Another seed for each: with the same one, a fit from the same start would agree for that reason alone.
        let seed = params.params.seed.wrapping_add(bootstrap);
        let resample = SeededRng::new(seed).resample(sample);
        let refit = fit(resample.view(), k, &Params { seed, ..params.params.clone() })?;
        // On the sample, not on the resample: that one repeats some rows and lacks others.
        agreement += adjusted_rand_index(&reference.labels, &assign(sample, refit.centroids.view()).0);
    }
    let stability = agreement / params.bootstraps as f64;
    let smallest = reference.sizes.iter().min().copied().unwrap_or(0);
    let smallest_share = smallest as f64 / sample.nrows() as f64;
    let silhouette = simplified_silhouette(sample, reference.centroids.view());
    let eligible = stability >= params.stability_min && smallest_share >= params.share_min;
    Ok(KCandidate { k, silhouette, stability, smallest_share, eligible })
}

/// Mean over `rows` (`n x d`) of `(b - a) / max(a, b)`, with `a` the distance to the nearest and `b` to the second nearest centroid:
/// the silhouette with centroids in place of all pairs (Hruschka, de Castro and Campello, "Evolutionary algorithms for clustering
/// gene-expression data", 2004). From 0 to 1; 0 without rows or with fewer than 2 centroids.
pub fn simplified_silhouette(rows: ArrayView2<f32>, centroids: ArrayView2<f32>) -> f64 {
    let rows = rows.as_standard_layout();
    let by_row: Vec<f64> =
        rows.outer_iter().into_par_iter().map(|row| silhouette_of_row(row, centroids)).collect();
    // Summed in order, so that the result does not depend on the threads.
    if by_row.is_empty() { 0.0 } else { by_row.iter().sum::<f64>() / by_row.len() as f64 }
}

fn silhouette_of_row(row: ArrayView1<f32>, centroids: ArrayView2<f32>) -> f64 {
    let nearest = nearest(row.to_slice().unwrap_or_default(), centroids);
    // One centroid, or two in the place of the row, separate nothing.
    let (own, next) =
        nearest.and_then(|nearest| Some((nearest.distance, nearest.runner_up?.1))).unwrap_or_default();
    if next > 0.0 && next.is_finite() { f64::from((next - own) / next) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Axis, array};

    #[test]
    fn the_silhouette_compares_the_nearest_with_the_second_nearest() {
        let centroids = array![[0.0_f32], [4.0], [100.0]];
        let rows = [
            (array![[0.0_f32], [4.0]], 1.0),
            (array![[1.0]], 2.0 / 3.0),
            (array![[2.0]], 0.0),
            (array![[1.0], [2.0]], 1.0 / 3.0),
            (array![[f32::NAN]], 0.0),
        ];
        for (rows, expected) in rows {
            let silhouette = simplified_silhouette(rows.view(), centroids.view());
            assert!((silhouette - expected).abs() < 1e-6, "{rows}: {silhouette}");
        }
        let equal = array![[0.0_f32], [0.0]];
        assert_eq!(simplified_silhouette(equal.view(), equal.view()), 0.0);
        assert_eq!(simplified_silhouette(equal.view(), centroids.view().split_at(Axis(0), 1).0), 0.0);
        assert_eq!(simplified_silhouette(equal.view().split_at(Axis(0), 0).0, centroids.view()), 0.0);
    }
}

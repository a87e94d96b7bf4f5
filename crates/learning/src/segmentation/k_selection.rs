//! How many segments there are. In come scaled rows; out goes the number of clusters that is found again in resamples of the
//! rows, and separates them best. Nothing is kept of the fits: the chosen number is then fitted on all rows.

use crate::error::Error;
use crate::evaluation::adjusted_rand_index;
use crate::rng::SeededRng;
use crate::segmentation::kmeans::{Params, assign, check_rows, fit, nearest};
use ndarray::parallel::prelude::*;
use ndarray::{ArrayView1, ArrayView2};
use std::ops::RangeInclusive;

/// How the number of segments is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct KSelectionParams {
    /// The numbers that come into question.
    pub k: RangeInclusive<usize>,
    /// How many resamples each is fitted on. More make the stability more certain; each costs one fit.
    pub bootstraps: usize,
    /// How many rows all of this is done on.
    pub sample: usize,
    /// A number whose stability is less is not eligible.
    pub stability_min: f64,
    /// A number whose smallest segment has a smaller share of the rows is not eligible.
    pub share_min: f64,
    /// What share of the best silhouette counts as equally good.
    pub silhouette_tolerance: f64,
    /// How each fit is done. All that is random here follows from its seed too.
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

/// What was found out about one number of segments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KCandidate {
    /// The number.
    pub k: usize,
    /// How well the segments are separated, from -1 to 1.
    pub silhouette: f64,
    /// How much of the partition is found again in resamples: the mean adjusted Rand index, 1 for all of it.
    pub stability: f64,
    /// The share of the rows that the smallest segment has.
    pub smallest_share: f64,
    /// Whether it may be chosen.
    pub eligible: bool,
}

/// The number of segments, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct KSelection {
    /// The number.
    pub k: usize,
    /// All that came into question, in order.
    pub candidates: Vec<KCandidate>,
}

/// Chooses the number of segments: of those whose partition is found again in bootstrap resamples (Hennig, "Cluster-wise
/// assessment of cluster stability", 2007) and whose segments are all large enough, the largest whose simplified silhouette is
/// about as good as the best, since more segments tell more of a shopper; if there is none, the most stable one. Numbers beyond
/// the rows do not come into question.
///
/// # Errors
///
/// [`Error::Parameter`] for an empty range, a range from 0, or no bootstraps or sample; [`Error::TooFew`] for fewer rows than
/// the smallest number; otherwise as [`fit`].
pub fn select_k(rows: ArrayView2<f32>, params: &KSelectionParams) -> Result<KSelection, Error> {
    check(rows, params)?;
    let sample = SeededRng::new(params.params.seed).sample(rows, params.sample.max(*params.k.start()));
    let candidates: Vec<KCandidate> = params
        .k
        .clone()
        .take_while(|k| *k <= sample.nrows())
        .map(|k| candidate(sample.view(), k, params))
        .collect::<Result<_, _>>()?;
    let best = candidates.iter().filter(|one| one.eligible).map(|one| one.silhouette).max_by(f64::total_cmp);
    let chosen = match best {
        Some(best) => candidates
            .iter()
            .rev()
            .find(|one| one.eligible && one.silhouette >= params.silhouette_tolerance * best),
        None => candidates.iter().rev().max_by(|one, other| one.stability.total_cmp(&other.stability)),
    };
    let needed = *params.k.start();
    let k = chosen.map(|candidate| candidate.k).ok_or(Error::TooFew { rows: rows.nrows(), needed })?;
    Ok(KSelection { k, candidates })
}

fn check(rows: ArrayView2<f32>, params: &KSelectionParams) -> Result<(), Error> {
    let needed = *params.k.start();
    for (parameter, wrong, problem) in [
        ("k", params.k.is_empty(), "is an empty range"),
        ("k", needed == 0, "starts at 0"),
        ("bootstraps", params.bootstraps == 0, "is 0"),
        ("sample", params.sample == 0, "is 0"),
    ] {
        if wrong {
            return Err(Error::Parameter { parameter, problem: problem.to_owned() });
        }
    }
    check_rows(rows, needed)
}

fn candidate(sample: ArrayView2<f32>, k: usize, params: &KSelectionParams) -> Result<KCandidate, Error> {
    let found = fit(sample, k, &params.params)?;
    let mut agreement = 0.0;
    for bootstrap in (1_u64..).take(params.bootstraps) {
        // Another seed for each, so that a fit that is found again was not merely started again.
        let seed = params.params.seed.wrapping_add(bootstrap);
        let resample = SeededRng::new(seed).resample(sample);
        let again = fit(resample.view(), k, &Params { seed, ..params.params.clone() })?;
        agreement += adjusted_rand_index(&found.labels, &assign(sample, again.centroids.view()).0);
    }
    let stability = agreement / params.bootstraps as f64;
    let smallest = found.sizes.iter().min().copied().unwrap_or(0);
    let smallest_share = smallest as f64 / sample.nrows() as f64;
    let silhouette = simplified_silhouette(sample, found.centroids.view());
    let eligible = stability >= params.stability_min && smallest_share >= params.share_min;
    Ok(KCandidate { k, silhouette, stability, smallest_share, eligible })
}

/// The mean over `rows` of `(b - a) / max(a, b)`, where `a` is the distance to the nearest and `b` that to the next centroid:
/// the silhouette with centroids in place of all pairs (Hruschka, de Castro & Campello, "Evolutionary algorithms for
/// clustering gene-expression data", 2004). From 0 to 1; 0 without rows or with fewer than 2 centroids.
pub fn simplified_silhouette(rows: ArrayView2<f32>, centroids: ArrayView2<f32>) -> f64 {
    let rows = rows.as_standard_layout();
    let of_row = |row: ArrayView1<f32>| {
        let found = nearest(row.to_slice().unwrap_or_default(), centroids);
        let (own, next) =
            found.and_then(|found| Some((found.distance, found.runner_up?.1))).unwrap_or_default();
        if next > 0.0 && next.is_finite() { f64::from((next - own) / next) } else { 0.0 }
    };
    let by_row: Vec<f64> = rows.outer_iter().into_par_iter().map(of_row).collect();
    // Added up in order, so that the threads cannot be told from the result.
    if by_row.is_empty() { 0.0 } else { by_row.iter().sum::<f64>() / by_row.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Axis, array};

    #[test]
    fn the_silhouette_compares_the_nearest_with_the_next() {
        let centroids = array![[0.0_f32], [4.0], [100.0]];
        let rows = [
            (array![[0.0_f32], [4.0]], 1.0),
            (array![[1.0]], 2.0 / 3.0),
            (array![[2.0]], 0.0),
            (array![[1.0], [2.0]], 1.0 / 3.0),
            (array![[f32::NAN]], 0.0),
        ];
        for (given, expected) in rows {
            let found = simplified_silhouette(given.view(), centroids.view());
            assert!((found - expected).abs() < 1e-6, "{given}: {found}");
        }
        let one_place = array![[0.0_f32], [0.0]];
        assert_eq!(simplified_silhouette(one_place.view(), one_place.view()), 0.0);
        assert_eq!(simplified_silhouette(one_place.view(), centroids.view().split_at(Axis(0), 1).0), 0.0);
        assert_eq!(simplified_silhouette(one_place.view().split_at(Axis(0), 0).0, centroids.view()), 0.0);
    }
}

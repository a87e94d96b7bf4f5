//! Stability of segment ids over trainings, beside a plain refit without matching: on unchanged vectors, on vectors
//! that drift before each training, and when the number of segments changes. Uses the feature vectors of the users of
//! a log; no server.

use super::figure::Figure;
use crate::replay::Replay;
use anyhow::Result;
use ndarray::{Array2, ArrayView2};
use portrait_learning::segmentation::{
    KMeansFit, Origin, Params, Space, assign_with_hysteresis, fit, fit_warm, match_segments,
};
use portrait_profile::{FeatureSchema, SegmentId};
use portrait_proto::v1::Event;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Number of trainings after the first.
const TRAININGS: u64 = 10;
/// Segments of the first training.
const SEGMENTS: usize = 6;
/// Standard deviation of the move of every component before a training, in standard deviations of the component.
const DRIFT: f32 = 0.05;

/// Shares of users who keep their label, one for each training.
struct KeptShares {
    /// With segments matched to those before.
    matched: Vec<f64>,
    /// With a plain refit, whose labels are not matched.
    refit: Vec<f64>,
}

/// Segments after a training, with their users.
struct TrackedSegments {
    centroids: Array2<f32>,
    ids: Vec<SegmentId>,
    next: SegmentId,
    /// Segment of each user.
    assigned: Vec<SegmentId>,
}

/// Measures the share of users who keep their segment.
pub(super) fn measure(events: &[Event], figures: &mut Vec<Figure>) -> Result<()> {
    let rows = sample_coordinates(events)?;
    for (name, drift, target, min_share) in [
        ("unchanged vectors", 0.0, ">= 99%", 0.99),
        ("vectors that drift by 0.05 standard deviations", DRIFT, ">= 95%", 0.95),
    ] {
        let KeptShares { matched, refit } = retrain(&rows, drift)?;
        figures.push(Figure {
            path: format!(
                "users who keep their segment over {TRAININGS} trainings, {name} ({} users)",
                rows.nrows()
            ),
            measured: format!(
                "{:.1}% at the least, {:.1}% on average",
                min(&matched) * 100.0,
                mean(&matched) * 100.0
            ),
            baseline: format!("plain refit {:.1}% on average", mean(&refit) * 100.0),
            ratio: None,
            values: [
                ("kept_min", min(&matched)),
                ("kept_mean", mean(&matched)),
                ("plain_mean", mean(&refit)),
            ]
            .into(),
            target,
            met: min(&matched) >= min_share,
        });
    }
    figures.push(one_more_segment(&rows)?);
    Ok(())
}

/// Coordinates of the users of a log at its end, `n x d`.
fn sample_coordinates(events: &[Event]) -> Result<Array2<f32>> {
    let mut replay = Replay::default();
    events.iter().try_for_each(|event| replay.fold(event))?;
    let raw = replay.vectors(replay.newest())?;
    let (space, scaled) = Space::fit(raw.view(), FeatureSchema::current())?;
    Ok(space.coordinates_of_rows(scaled.view()))
}

fn params(seed: u64) -> Params {
    Params { seed, ..Params::default() }
}

/// Trains [`TRAININGS`] times on rows that drift before each training.
fn retrain(rows: &Array2<f32>, drift: f32) -> Result<KeptShares> {
    let mut rng = StdRng::seed_from_u64(3);
    let mut rows = rows.clone();
    let first = fit(rows.view(), SEGMENTS, &params(0))?;
    let mut refit_labels = first.labels.clone();
    let mut tracked = TrackedSegments::new(first)?;
    let mut shares = KeptShares { matched: Vec::new(), refit: Vec::new() };
    for seed in 1..=TRAININGS {
        // Drift accumulates: after ten trainings the rows are far from the first ones.
        rows.iter_mut().for_each(|value| *value += drift * gaussian(&mut rng));
        let before = tracked.assigned.clone();
        tracked = tracked.train(rows.view(), SEGMENTS, seed)?.0;
        shares.matched.push(equal_share(&before, &tracked.assigned));
        // The refit starts from another seed each time, as a training without memory would.
        let refit = fit(rows.view(), SEGMENTS, &params(seed))?;
        shares.refit.push(equal_share(&refit_labels, &refit.labels));
        refit_labels = refit.labels;
    }
    Ok(shares)
}

impl TrackedSegments {
    /// Segments of the first training, with ids from 1.
    fn new(first: KMeansFit) -> Result<Self> {
        let ids: Vec<SegmentId> = (1..).take(SEGMENTS).map(SegmentId::new).collect();
        let assigned = first.labels.iter().map(|label| ids[*label as usize]).collect();
        let next = SegmentId::new(u32::try_from(SEGMENTS)? + 1);
        Ok(Self { centroids: first.centroids, ids, next, assigned })
    }

    /// Segments after a training, and the origin of each.
    fn train(&self, rows: ArrayView2<'_, f32>, segments: usize, seed: u64) -> Result<(Self, Vec<Origin>)> {
        // A warm start has one centroid for each segment: another number of segments needs a fit from scratch.
        let clusters = if segments == self.ids.len() {
            fit_warm(rows, self.centroids.view(), &params(seed))?
        } else {
            fit(rows, segments, &params(seed))?
        };
        // Matching is by members: every user votes for the segment of the training before.
        let old: Vec<Option<SegmentId>> = self.assigned.iter().copied().map(Some).collect();
        let matching = match_segments(&old, &clusters.labels, segments, &self.ids, self.next);
        let ids: Vec<SegmentId> = matching.segments.iter().map(|matched| matched.id).collect();
        let origins = matching.segments.into_iter().map(|matched| matched.origin).collect();
        let mut assigned = Vec::with_capacity(self.assigned.len());
        for (row, before) in rows.outer_iter().zip(&self.assigned) {
            let current = ids.iter().position(|id| id == before);
            let nearest = assign_with_hysteresis(&row.to_vec(), clusters.centroids.view(), current);
            // Without a finite distance the user stays.
            assigned.push(nearest.map_or(*before, |(index, _)| ids[index]));
        }
        Ok((Self { centroids: clusters.centroids, ids, next: matching.next, assigned }, origins))
    }
}

/// Lineage of the segments after a training with one more segment.
fn one_more_segment(rows: &Array2<f32>) -> Result<Figure> {
    let tracked = TrackedSegments::new(fit(rows.view(), SEGMENTS, &params(0))?)?;
    let (later, origins) = tracked.train(rows.view(), SEGMENTS + 1, 1)?;
    let mut kept = 0_usize;
    let mut split = 0_usize;
    let mut new = 0_usize;
    for origin in &origins {
        match origin {
            Origin::Kept | Origin::Merged { .. } => kept += 1,
            Origin::Split { .. } => split += 1,
            Origin::New => new += 1,
        }
    }
    let stayed = equal_share(&tracked.assigned, &later.assigned);
    Ok(Figure {
        path: format!("{SEGMENTS} segments become {}: lineage", SEGMENTS + 1),
        measured: format!("{kept} kept, {split} split off, {new} new; {:.1}% of users stay", stayed * 100.0),
        baseline: String::new(),
        ratio: None,
        values: [("kept", kept as f64), ("split", split as f64), ("new", new as f64), ("stayed", stayed)]
            .into(),
        target: "most segments are kept",
        met: 2 * kept > SEGMENTS,
    })
}

/// Draw from the standard normal distribution (Box and Muller 1958).
fn gaussian(rng: &mut StdRng) -> f32 {
    // Above 0, as its logarithm is taken.
    let radius: f32 = rng.random_range(f32::MIN_POSITIVE..1.0);
    let angle: f32 = rng.random_range(0.0..1.0);
    (-2.0 * radius.ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
}

fn equal_share<T: PartialEq>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len().max(1) as f64
}

fn mean(shares: &[f64]) -> f64 {
    shares.iter().sum::<f64>() / shares.len().max(1) as f64
}

fn min(shares: &[f64]) -> f64 {
    shares.iter().copied().fold(1.0, f64::min)
}

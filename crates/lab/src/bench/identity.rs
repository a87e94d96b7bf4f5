//! Stability of segment ids over trainings, beside a plain refit without matching: on unchanged vectors, on vectors
//! that drift before each training, and when the number of segments changes. Uses the feature vectors of the users of
//! a log; no server.

use super::figure::Figure;
use crate::replay::Replay;
use anyhow::Result;
use ndarray::{Array2, ArrayView2};
use portrait_learning::segmentation::{Origin, Params, Space, fit, fit_warm, match_segments, assign_with_hysteresis};
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
    for (name, drift, target, least) in [
        ("unchanged vectors", 0.0, ">= 99%", 0.99),
        ("vectors that drift by 0.05 standard deviations", DRIFT, ">= 95%", 0.95),
    ] {
        let (kept, plain) = retrained(&rows, drift)?;
        figures.push(Figure {
            path: format!(
                "shoppers who keep their segment over {TRAININGS} trainings, {name} ({})",
                rows.nrows()
            ),
            measured: format!(
                "{:.1}% at the least, {:.1}% on average",
                least_of(&kept) * 100.0,
                mean(&kept) * 100.0
            ),
            beside: format!("plain refit {:.1}% on average", mean(&plain) * 100.0),
            ratio: None,
            values: [
                ("kept_least", least_of(&kept)),
                ("kept_mean", mean(&kept)),
                ("plain_mean", mean(&plain)),
            ]
            .into(),
            target,
            met: least_of(&kept) >= least,
        });
    }
    figures.push(changed(&rows)?);
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

/// Shares of users who keep their label at each training: with matching, and with a plain refit.
fn retrained(rows: &Array2<f32>, drift: f32) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut chance = StdRng::seed_from_u64(3);
    let mut rows = rows.clone();
    let first = fit(rows.view(), SEGMENTS, &params(0))?;
    let mut plain_labels = first.labels.clone();
    let ids: Vec<SegmentId> = (1..).take(SEGMENTS).map(SegmentId::new).collect();
    let held = first.labels.iter().map(|label| ids[*label as usize]).collect();
    let next = SegmentId::new(u32::try_from(SEGMENTS)? + 1);
    let mut standing = TrackedSegments { centroids: first.centroids, ids, next, assigned: held };
    let (mut kept, mut plain) = (Vec::new(), Vec::new());
    for seed in 1..=TRAININGS {
        rows.iter_mut().for_each(|value| *value += drift * gaussian(&mut chance));
        let before = standing.assigned.clone();
        standing = standing.train(rows.view(), SEGMENTS, seed)?.0;
        kept.push(equal(&before, &standing.assigned));
        let again = fit(rows.view(), SEGMENTS, &params(seed))?;
        plain.push(equal(&plain_labels, &again.labels));
        plain_labels = again.labels;
    }
    Ok((kept, plain))
}

impl TrackedSegments {
    /// Segments after a training, and the origin of each.
    fn train(&self, rows: ArrayView2<'_, f32>, segments: usize, seed: u64) -> Result<(Self, Vec<Origin>)> {
        // A warm start has one centroid for each segment: another number of segments needs a fit from scratch.
        let found = if segments == self.ids.len() {
            fit_warm(rows, self.centroids.view(), &params(seed))?
        } else {
            fit(rows, segments, &params(seed))?
        };
        let old: Vec<Option<SegmentId>> = self.assigned.iter().copied().map(Some).collect();
        let matching = match_segments(&old, &found.labels, segments, &self.ids, self.next);
        let ids: Vec<SegmentId> = matching.segments.iter().map(|matched| matched.id).collect();
        let origins = matching.segments.into_iter().map(|matched| matched.origin).collect();
        let assign = |(row, held): (ndarray::ArrayView1<'_, f32>, &SegmentId)| {
            let own = ids.iter().position(|id| id == held);
            assign_with_hysteresis(&row.to_vec(), found.centroids.view(), own).map_or(*held, |(index, _)| ids[index])
        };
        let held = rows.outer_iter().zip(&self.assigned).map(assign).collect();
        Ok((Self { centroids: found.centroids, ids, next: matching.next, assigned: held }, origins))
    }
}

/// Lineage of the segments after a training with one more segment.
fn changed(rows: &Array2<f32>) -> Result<Figure> {
    let first = fit(rows.view(), SEGMENTS, &params(0))?;
    let ids: Vec<SegmentId> = (1..).take(SEGMENTS).map(SegmentId::new).collect();
    let held: Vec<SegmentId> = first.labels.iter().map(|label| ids[*label as usize]).collect();
    let next = SegmentId::new(u32::try_from(SEGMENTS)? + 1);
    let standing = TrackedSegments { centroids: first.centroids, ids, next, assigned: held };
    let (later, origins) = standing.train(rows.view(), SEGMENTS + 1, 1)?;
    let count = |is: fn(&Origin) -> bool| origins.iter().filter(|origin| is(origin)).count();
    let kept = count(|origin| matches!(origin, Origin::Kept | Origin::Merged { .. }));
    let (split, born) = (
        count(|origin| matches!(origin, Origin::Split { .. })),
        count(|origin| matches!(origin, Origin::New)),
    );
    let stayed = equal(&standing.assigned, &later.assigned);
    Ok(Figure {
        path: format!("{SEGMENTS} segments become {}: where they come from", SEGMENTS + 1),
        measured: format!(
            "{kept} kept, {split} split off, {born} born; {:.1}% of shoppers stay",
            stayed * 100.0
        ),
        beside: String::new(),
        ratio: None,
        values: [("kept", kept as f64), ("split", split as f64), ("born", born as f64), ("stayed", stayed)]
            .into(),
        target: "a lineage, not a reshuffle: most are kept",
        met: 2 * kept > SEGMENTS,
    })
}

/// Draw from the standard normal distribution (Box and Muller 1958).
fn gaussian(chance: &mut StdRng) -> f32 {
    let (radius, angle): (f32, f32) =
        (chance.random_range(f32::MIN_POSITIVE..1.0), chance.random_range(0.0..1.0));
    (-2.0 * radius.ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
}

fn equal<T: PartialEq>(one: &[T], other: &[T]) -> f64 {
    one.iter().zip(other).filter(|(one, other)| one == other).count() as f64 / one.len().max(1) as f64
}

fn mean(shares: &[f64]) -> f64 {
    shares.iter().sum::<f64>() / shares.len().max(1) as f64
}

fn least_of(shares: &[f64]) -> f64 {
    shares.iter().copied().fold(1.0, f64::min)
}

//! Training: feature space, clusters warm-started from the served centroids, segments that keep their identity,
//! predictors, and quality measures. Input: a sample and the served model. Output: a trained model. Pure and
//! CPU-bound: it runs on its own threads.

mod learned;
mod task;

use crate::demand::Count;
use crate::error::Error;
use crate::sample::Sample;
use learned::{Found, learned};
use ndarray::{Array2, ArrayView2, Axis};
use portrait_learning::drift::DriftFeatures;
use portrait_learning::segmentation::{
    KSelectionParams, KMeansFit, MatchedSegment, Origin, Params, SegmentDescription, Space, assign, select_k, fit, fit_warm,
    match_segments, means, describe_segments, simplified_silhouette,
};
use portrait_learning::{Model, Retired, Segment, TypicalCategory};
use portrait_profile::{FeatureSchema, SegmentId};
use portrait_proto::v1::ModelQuality;
use std::collections::HashMap;
pub(crate) use task::Task;

/// Maximum number of rows of the silhouette, whose cost grows with rows times segments.
const JUDGED_ROWS: usize = 10_000;
/// Maximum number of typical categories per segment, minimum lift, and minimum number of users.
const CATEGORIES_TOLD: usize = 5;
const LIFT_MIN: f64 = 1.1;
const LOVERS_MIN: usize = 5;

/// Trained model with its quality, not yet published.
pub(crate) struct Candidate {
    pub(crate) model: Model,
    pub(crate) quality: ModelQuality,
    pub(crate) rows: usize,
}

/// Trains a model.
///
/// # Errors
/// `TooFew` below `model.rows_min`; errors of the learners.
pub(crate) fn train(task: &Task) -> Result<Candidate, Error> {
    let schema = FeatureSchema::current();
    let (raw, config) = (task.sample.rows(), &task.config);
    if raw.nrows() < config.rows_min {
        return Err(Error::TooFew { rows: raw.nrows(), needed: config.rows_min });
    }
    task.progress.tell("scaling", 0, raw.nrows() as u64);
    let (space, scaled) = Space::fit(raw, schema)?;
    let rows = space.coordinates_of_rows(scaled.view());
    let live = task.live.as_deref().map(|model| space.convert_centroids(&model.space, model.centroids()));
    let params = Params { seed: config.seed, ..Params::default() };
    let clusters = clusters(task, rows.view(), &params)?;
    task.progress.tell("clustering", 0, rows.nrows() as u64);
    let found = match &live {
        Some(live) if live.nrows() == clusters => fit_warm(rows.view(), live.view(), &params)?,
        _ => fit(rows.view(), clusters, &params)?,
    };
    task.progress.tell("naming", 0, clusters as u64);
    let quality = quality(task, rows.view(), &found, live.as_ref());
    let centroids = means(scaled.view(), &found.labels, clusters);
    let (segments, retired, next) = segments(task, &found, centroids.view());
    let parent = task.live.as_ref().map(|model| model.version);
    let reference = DriftFeatures::current().reference(&task.sample.seen());
    let draft = Model::draft(
        task.version,
        parent,
        task.sample.as_of,
        schema.hash(),
        space,
        segments,
        retired,
        next,
        reference,
    );
    let placed = Found { labels: &found.labels, segments: clusters, places: rows.view() };
    let model = draft.with_centroids(centroids.view())?.with_predictors(learned(task, &placed)?)?;
    let quality = ModelQuality { retained_share: kept_share(&task.sample, &model, &found), ..quality };
    Ok(Candidate { model, quality, rows: task.sample.len() })
}

fn clusters(task: &Task, rows: ArrayView2<'_, f32>, params: &Params) -> Result<usize, Error> {
    let config = &task.config;
    match (task.count, &task.live) {
        (Count::Exactly(count), _) => Ok(count),
        (Count::Same, Some(live)) => Ok(live.segments.len()),
        (Count::Same | Count::Chosen, _) => {
            task.progress.tell("choosing the number of segments", 0, 0);
            let k = config.segments_min..=config.segments_max;
            let choice =
                select_k(rows, &KSelectionParams { k, params: params.clone(), ..KSelectionParams::default() })?;
            tracing::info!(segments = choice.k, candidates = ?choice.candidates, "number of segments chosen");
            Ok(choice.k)
        }
    }
}

fn quality(task: &Task, rows: ArrayView2<'_, f32>, found: &KMeansFit, live: Option<&Array2<f32>>) -> ModelQuality {
    let each = |inertia: f64| inertia / task.sample.len().max(1) as f64;
    let of_live = live.map(|live| {
        let (_, squared) = assign(rows, live.view());
        each(squared.iter().map(|squared| f64::from(*squared)).sum())
    });
    // The sample is ordered by hash, so the first rows are a uniform subsample.
    let judged = rows.slice_axis(Axis(0), ndarray::Slice::from(..rows.nrows().min(JUDGED_ROWS)));
    ModelQuality {
        inertia_per_row: each(found.inertia),
        parent_inertia_per_row: of_live,
        silhouette: simplified_silhouette(judged, found.centroids.view()),
        retained_share: None,
    }
}

/// Returns the segments with ids and names, the retired ones, and the first unused segment id.
fn segments(
    task: &Task,
    found: &KMeansFit,
    centroids: ArrayView2<'_, f32>,
) -> (Vec<Segment>, Vec<Retired>, SegmentId) {
    let live: Vec<SegmentId> =
        task.live.iter().flat_map(|model| &model.segments).map(|segment| segment.id).collect();
    let next = task.next_segment;
    let clusters = found.centroids.nrows();
    let before: Vec<Option<SegmentId>> = task.sample.segments().collect();
    let matching = match_segments(&before, &found.labels, clusters, &live, next);
    let rows = task.sample.len().max(1) as f64;
    let shares: Vec<f64> = found.sizes.iter().map(|size| *size as f64 / rows).collect();
    let taken: Vec<String> =
        task.live.iter().flat_map(|model| &model.segments).map(|segment| segment.name.clone()).collect();
    let components = FeatureSchema::current().components();
    let portrayed = describe_segments(centroids, &shares, components, &taken);
    let categories = categories(&task.sample, found);
    let parts = matching.segments.into_iter().zip(portrayed).zip(shares).zip(categories);
    let segments = parts.map(|(((matched, portrayed), share), categories)| {
        segment(task, matched, portrayed, share, categories)
    });
    let segments = segments.collect();
    let name = |id: SegmentId| task.live.as_ref().and_then(|model| model.segment_name(id)).unwrap_or_default();
    let retired = matching.retired.into_iter().map(|(id, to)| Retired { id, name: name(id).to_owned(), to });
    (segments, retired.collect(), matching.next)
}

fn segment(
    task: &Task,
    matched: MatchedSegment,
    portrayed: SegmentDescription,
    trained_share: f64,
    categories: Vec<TypicalCategory>,
) -> Segment {
    let before = task.live.as_ref().and_then(|model| model.segment(matched.id));
    Segment {
        id: matched.id,
        // A segment keeps its name as long as its id: people and campaigns refer to it.
        name: before.map_or(portrayed.name, |before| before.name.clone()),
        description: portrayed.description,
        defining: portrayed.defining,
        trained_share,
        origin: if before.is_none() && matched.origin == Origin::Kept {
            Origin::New
        } else {
            matched.origin
        },
        overlap: matched.overlap,
        first_version: before.map_or(task.version, |before| before.first_version),
        categories,
    }
}

/// Returns the typical categories of each cluster, by weight.
fn categories(sample: &Sample, found: &KMeansFit) -> Vec<Vec<TypicalCategory>> {
    let mut all: HashMap<u32, usize> = HashMap::new();
    let mut by_cluster: Vec<HashMap<u32, usize>> = vec![HashMap::new(); found.centroids.nrows()];
    for (label, chosen) in found.labels.iter().zip(&sample.chosen) {
        let (Some(category), Some(cluster)) = (&chosen.category, by_cluster.get_mut(*label as usize)) else {
            continue;
        };
        *all.entry(*category).or_default() += 1;
        *cluster.entry(*category).or_default() += 1;
    }
    let everybody: usize = all.values().sum();
    let of_cluster = |cluster: &HashMap<u32, usize>| {
        let here: usize = cluster.values().sum();
        let typical =
            cluster.iter().filter(|(_, lovers)| **lovers >= LOVERS_MIN).map(|(category, lovers)| {
                let share = *lovers as f64 / here as f64;
                let lift = share * everybody as f64 / all[category] as f64;
                TypicalCategory { name: sample.category_names[*category as usize].clone(), share, lift }
            });
        let mut typical: Vec<TypicalCategory> =
            typical.filter(|category| category.lift >= LIFT_MIN).collect();
        // Share times log lift: favors categories that are both frequent here and rarer elsewhere.
        let weight = |category: &TypicalCategory| category.share * category.lift.ln();
        typical.sort_by(|one, other| {
            weight(other).total_cmp(&weight(one)).then_with(|| one.name.cmp(&other.name))
        });
        typical.truncate(CATEGORIES_TOLD);
        typical
    };
    by_cluster.iter().map(of_cluster).collect()
}

/// Share of users whose segment is unchanged; none without a previous model.
fn kept_share(sample: &Sample, model: &Model, found: &KMeansFit) -> Option<f64> {
    let known = sample.segments().zip(&found.labels).filter_map(|(before, label)| Some((before?, label)));
    let (mut all, mut kept) = (0_u64, 0_u64);
    for (before, label) in known {
        all += 1;
        kept += u64::from(model.segments.get(*label as usize).is_some_and(|segment| segment.id == before));
    }
    (all > 0).then(|| kept as f64 / all as f64)
}

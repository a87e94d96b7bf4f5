//! Training: feature space, clusters warm-started from the served centroids, segments that keep their identity,
//! predictors, and quality measures. Input: a sample and the served model. Output: a trained model. Pure and
//! CPU-bound: it runs on its own threads.

mod predictors;
mod task;

use crate::command::SegmentCount;
use crate::error::Error;
use crate::sample::{LimitCount, TrainingSample};
use ndarray::{Array2, ArrayView2, Axis};
use portrait_learning::drift::DriftFeatures;
use portrait_learning::segmentation::{
    KMeansFit, KSelectionParams, MatchedSegment, Origin, Params, SegmentDescription, Space, assign,
    describe_segments, fit_warm, match_segments, means, select_k, simplified_silhouette,
};
use portrait_learning::{Model, Retired, Segment, TypicalCategory};
use portrait_profile::{FeatureSchema, SegmentId};
use portrait_proto::v1::{ModelQuality, TrainingLimit};
use predictors::{ClusterLabels, learn_predictors};
use std::collections::HashMap;
pub(crate) use task::TrainingTask;

/// Maximum number of rows of the silhouette, whose cost grows with rows times segments.
const QUALITY_ROWS_MAX: usize = 10_000;
/// Maximum number of typical categories per segment, minimum lift, and minimum number of users.
const TYPICAL_CATEGORIES_MAX: usize = 5;
const LIFT_MIN: f64 = 1.1;
const CATEGORY_USERS_MIN: usize = 5;

/// Trained model with its quality, not yet published.
pub(crate) struct TrainedModel {
    pub(crate) model: Model,
    pub(crate) quality: ModelQuality,
    pub(crate) rows: usize,
    /// Number of segments of the served model; none before the first.
    pub(crate) served_segments: Option<usize>,
    /// Limits that left something out of the training.
    pub(crate) limits: Vec<TrainingLimit>,
}

/// Trains a model.
///
/// # Errors
/// `TooFew` below `model.rows_min`; errors of the learners.
pub(crate) fn train(task: &TrainingTask) -> Result<TrainedModel, Error> {
    let schema = FeatureSchema::current();
    let config = &task.config;
    let raw = task.sample.rows();
    if raw.nrows() < config.rows_min {
        return Err(Error::TooFew { rows: raw.nrows(), needed: config.rows_min });
    }
    task.progress.report("scaling", 0, raw.nrows() as u64);
    let (space, scaled) = Space::fit(raw, schema)?;
    let rows = space.coordinates_of_rows(scaled.view());
    let served_centroids =
        task.served.as_deref().map(|model| space.convert_centroids(&model.space, model.centroids()));
    let params = Params { seed: config.seed, ..Params::default() };
    let clusters = clusters(task, rows.view(), &params)?;
    task.progress.report("clustering", 0, rows.nrows() as u64);
    let fit = match &served_centroids {
        // A warm start keeps segments where they are: less churn of ids, names and audiences.
        Some(served) if served.nrows() == clusters => fit_warm(rows.view(), served.view(), &params)?,
        _ => portrait_learning::segmentation::fit(rows.view(), clusters, &params)?,
    };
    task.progress.report("naming", 0, clusters as u64);
    let quality = quality(task, rows.view(), &fit, served_centroids.as_ref());
    let centroids = means(scaled.view(), &fit.labels, clusters);
    let (segments, retired, next) = segments(task, &fit, centroids.view());
    let parent = task.served.as_ref().map(|model| model.version);
    let reference = DriftFeatures::current().reference(&task.sample.drift_sample());
    // The drift reference is this sample: drift means a change since this training.
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
    let labels = ClusterLabels { labels: &fit.labels, segments: clusters, coordinates: rows.view() };
    let model = draft.with_centroids(centroids.view())?.with_predictors(learn_predictors(task, &labels)?)?;
    let quality = ModelQuality { retained_share: retained_share(&task.sample, &model, &fit), ..quality };
    let limits = limits(task, &model);
    let served_segments = task.served.as_ref().map(|served| served.segments.len());
    Ok(TrainedModel { model, quality, rows: task.sample.len(), served_segments, limits })
}

/// Returns the limits that left something out of the sample or of the learned tables.
fn limits(task: &TrainingTask, model: &Model) -> Vec<TrainingLimit> {
    let mut limits = task.sample.limits();
    let lookalikes = model.predictors().lookalikes.as_ref().map_or(0, |sample| sample.len());
    let users = LimitCount { used: lookalikes as u64, found: task.sample.len() as u64 };
    limits.extend(users.report("model.lookalikes_max", "sampled users"));
    for table in model.predictors().items.iter().flat_map(|items| items.pair_counts()) {
        let pairs = LimitCount { used: table.kept as u64, found: table.found as u64 };
        limits.extend(pairs.report(table.name, "pairs of items"));
    }
    limits
}

fn clusters(task: &TrainingTask, rows: ArrayView2<'_, f32>, params: &Params) -> Result<usize, Error> {
    let config = &task.config;
    match (task.count, &task.served) {
        (SegmentCount::Exactly(count), _) => Ok(count),
        (SegmentCount::Unchanged, Some(live)) => Ok(live.segments.len()),
        (SegmentCount::Unchanged | SegmentCount::Auto, _) => {
            task.progress.report("choosing the number of segments", 0, 0);
            let k = config.segments_min..=config.segments_max;
            let choice = select_k(
                rows,
                &KSelectionParams { k, params: params.clone(), ..KSelectionParams::default() },
            )?;
            tracing::info!(segments = choice.k, candidates = ?choice.candidates, "number of segments chosen");
            Ok(choice.k)
        }
    }
}

fn quality(
    task: &TrainingTask,
    rows: ArrayView2<'_, f32>,
    fit: &KMeansFit,
    served: Option<&Array2<f32>>,
) -> ModelQuality {
    let users = task.sample.len().max(1) as f64;
    let parent_inertia = served.map(|centroids| {
        let (_, squared) = assign(rows, centroids.view());
        squared.iter().map(|squared| f64::from(*squared)).sum::<f64>()
    });
    // The sample is ordered by hash, so the first rows are a uniform subsample.
    let subsample = rows.slice_axis(Axis(0), ndarray::Slice::from(..rows.nrows().min(QUALITY_ROWS_MAX)));
    ModelQuality {
        inertia_per_row: fit.inertia / users,
        parent_inertia_per_row: parent_inertia.map(|inertia| inertia / users),
        silhouette: simplified_silhouette(subsample, fit.centroids.view()),
        retained_share: None,
    }
}

/// Returns the segments with ids and names, the retired ones, and the first unused segment id.
fn segments(
    task: &TrainingTask,
    fit: &KMeansFit,
    centroids: ArrayView2<'_, f32>,
) -> (Vec<Segment>, Vec<Retired>, SegmentId) {
    let live: Vec<SegmentId> =
        task.served.iter().flat_map(|model| &model.segments).map(|segment| segment.id).collect();
    let next = task.next_segment;
    let clusters = fit.centroids.nrows();
    // Matched by members, not by centroids: coordinates of two models are not comparable.
    let before: Vec<Option<SegmentId>> = task.sample.segments().collect();
    let matching = match_segments(&before, &fit.labels, clusters, &live, next);
    let rows = task.sample.len().max(1) as f64;
    let shares: Vec<f64> = fit.sizes.iter().map(|size| *size as f64 / rows).collect();
    let taken: Vec<String> =
        task.served.iter().flat_map(|model| &model.segments).map(|segment| segment.name.clone()).collect();
    let components = FeatureSchema::current().components();
    let descriptions = describe_segments(centroids, &shares, components, &taken);
    let categories = categories(&task.sample, fit);
    let parts = matching.segments.into_iter().zip(descriptions).zip(shares).zip(categories);
    let segments = parts.map(|(((matched, description), share), categories)| {
        segment(task, matched, description, share, categories)
    });
    let segments = segments.collect();
    let retired = matching.retired.into_iter().map(|(id, to)| {
        let name = task.served.as_ref().and_then(|model| model.segment_name(id)).unwrap_or_default();
        Retired { id, name: name.to_owned(), to }
    });
    (segments, retired.collect(), matching.next)
}

fn segment(
    task: &TrainingTask,
    matched: MatchedSegment,
    description: SegmentDescription,
    trained_share: f64,
    categories: Vec<TypicalCategory>,
) -> Segment {
    let before = task.served.as_ref().and_then(|model| model.segment(matched.id));
    Segment {
        id: matched.id,
        // A segment keeps its name as long as its id: people and campaigns refer to it.
        name: before.map_or(description.name, |before| before.name.clone()),
        description: description.description,
        defining: description.defining,
        trained_share,
        origin: if before.is_none() && matched.origin == Origin::Kept { Origin::New } else { matched.origin },
        overlap: matched.overlap,
        first_version: before.map_or(task.version, |before| before.first_version),
        categories,
    }
}

/// Returns the typical categories of each cluster, by weight.
fn categories(sample: &TrainingSample, fit: &KMeansFit) -> Vec<Vec<TypicalCategory>> {
    let mut all: HashMap<u32, usize> = HashMap::new();
    let mut by_cluster: Vec<HashMap<u32, usize>> = vec![HashMap::new(); fit.centroids.nrows()];
    for (label, user) in fit.labels.iter().zip(&sample.sampled) {
        let (Some(category), Some(cluster)) = (&user.category, by_cluster.get_mut(*label as usize)) else {
            continue;
        };
        *all.entry(*category).or_default() += 1;
        *cluster.entry(*category).or_default() += 1;
    }
    let users: usize = all.values().sum();
    let mut typical = Vec::with_capacity(by_cluster.len());
    for cluster in &by_cluster {
        let cluster_users: usize = cluster.values().sum();
        let mut categories: Vec<TypicalCategory> = Vec::new();
        // A category of a handful of users has a lift by chance: below the minimum it is left out.
        for (category, count) in cluster.iter().filter(|(_, count)| **count >= CATEGORY_USERS_MIN) {
            let share = *count as f64 / cluster_users as f64;
            let lift = share * users as f64 / all[category] as f64;
            let name = sample.category_names[*category as usize].clone();
            categories.push(TypicalCategory { name, share, lift });
        }
        categories.retain(|category| category.lift >= LIFT_MIN);
        categories.sort_by(|one, other| {
            weight(other).total_cmp(&weight(one)).then_with(|| one.name.cmp(&other.name))
        });
        categories.truncate(TYPICAL_CATEGORIES_MAX);
        typical.push(categories);
    }
    typical
}

/// Returns the share times log lift: high for categories that are frequent here and rarer elsewhere.
fn weight(category: &TypicalCategory) -> f64 {
    category.share * category.lift.ln()
}

/// Share of users whose segment is unchanged; none without a previous model.
fn retained_share(sample: &TrainingSample, model: &Model, fit: &KMeansFit) -> Option<f64> {
    let known = sample.segments().zip(&fit.labels).filter_map(|(before, label)| Some((before?, label)));
    let mut all = 0_u64;
    let mut retained = 0_u64;
    for (before, label) in known {
        all += 1;
        retained +=
            u64::from(model.segments.get(*label as usize).is_some_and(|segment| segment.id == before));
    }
    (all > 0).then(|| retained as f64 / all as f64)
}

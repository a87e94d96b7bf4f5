//! Training: feature space, clusters warm-started from the served centroids, segments that keep their identity,
//! predictors, and quality measures. Each part stands for itself: users that cannot be distinguished cost the segments,
//! too little data for a predictor costs that predictor. Input: a sample and the served model. Output: a trained model. Pure and
//! CPU-bound: it runs on its own threads.

mod clusters;
mod predictors;
mod segments;
mod shortfall;
mod task;

use crate::error::Error;
use crate::sample::LimitCount;
use ndarray::{Array2, ArrayView2, Axis};
use portrait_learning::Model;
use portrait_learning::drift::DriftFeatures;
use portrait_learning::segmentation::{KMeansFit, Space, assign, simplified_silhouette};
use portrait_profile::FeatureSchema;
use portrait_proto::v1::{ModelQuality, PartShortfall, TrainingLimit};
use predictors::{ClusterLabels, LearnedPredictors, learn_predictors};
use segments::LearnedSegments;
use std::sync::Arc;
pub(crate) use task::TrainingTask;

/// Least number of users of a training on request: nothing can be learned from a single one.
pub(crate) const USERS_MIN: usize = 2;
/// Maximum number of rows of the silhouette, whose cost grows with rows times segments.
const QUALITY_ROWS_MAX: usize = 10_000;

/// Trained model with its quality, not yet published.
pub(crate) struct TrainedModel {
    pub(crate) model: Model,
    /// Quality of the segments; none without segments.
    pub(crate) quality: Option<ModelQuality>,
    pub(crate) rows: usize,
    /// Number of segments of the served model; none before the first.
    pub(crate) served_segments: Option<usize>,
    /// Limits that left something out of the training.
    pub(crate) limits: Vec<TrainingLimit>,
    /// Parts that could not be learned as wanted.
    pub(crate) shortfalls: Vec<PartShortfall>,
    /// Last model with segments, which a model without segments carries on.
    pub(crate) former: Option<Arc<Model>>,
}

/// Trains a model.
///
/// # Errors
/// `TooFew` or `NothingToLearn` below the least number of users; errors of the learners.
pub(crate) fn train(task: &TrainingTask) -> Result<TrainedModel, Error> {
    let schema = FeatureSchema::current();
    let raw = task.sample.rows();
    check_users(task, raw.nrows())?;
    task.progress.report("scaling", 0, raw.nrows() as u64);
    let (space, scaled) = Space::fit_any(raw, schema)?;
    let rows = space.coordinates_of_rows(scaled.view());
    let former_centroids =
        task.segmented.as_deref().map(|model| space.convert_centroids(&model.space, model.centroids()));
    let clustering = clusters::cluster(task, rows.view(), former_centroids.as_ref())?;
    let fit = clustering.fit.as_ref();
    let trained = match fit {
        Some(fit) => LearnedSegments::of(task, fit, scaled.view()),
        None => LearnedSegments::none(task, scaled.ncols()),
    };
    let quality = fit.map(|fit| ModelQuality {
        retained_share: trained.retained_share(&fit.labels),
        ..quality(task, rows.view(), fit, former_centroids.as_ref())
    });
    let parent = task.served.as_ref().map(|model| model.version);
    // The drift reference is this sample: drift means a change since this training.
    let reference = DriftFeatures::current().reference(&task.sample.drift_sample());
    let draft = Model::draft(
        task.version,
        parent,
        task.sample.as_of,
        schema.hash(),
        space,
        trained.segments,
        trained.retired,
        trained.next,
        reference,
    );
    let labels = ClusterLabels {
        labels: fit.map_or(&[][..], |fit| &fit.labels),
        segments: draft.segments.len(),
        coordinates: rows.view(),
    };
    let LearnedPredictors { predictors, shortfalls } = learn_predictors(task, &labels)?;
    let model = draft.with_centroids(trained.centroids.view())?.with_predictors(predictors)?;
    let limits = limits(task, &model);
    let served_segments = task.served.as_ref().map(|served| served.segments.len());
    let former = task.segmented.clone().filter(|_| model.segments.is_empty());
    let shortfalls = clustering.shortfall.into_iter().chain(shortfalls).collect();
    Ok(TrainedModel { model, quality, rows: task.sample.len(), served_segments, limits, shortfalls, former })
}

fn check_users(task: &TrainingTask, rows: usize) -> Result<(), Error> {
    let needed = task.users_min;
    match rows {
        rows if rows >= needed => Ok(()),
        rows if needed > USERS_MIN => Err(Error::TooFew { rows, needed }),
        rows => Err(Error::NothingToLearn { rows, needed }),
    }
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

fn quality(
    task: &TrainingTask,
    rows: ArrayView2<'_, f32>,
    fit: &KMeansFit,
    former: Option<&Array2<f32>>,
) -> ModelQuality {
    let users = task.sample.len().max(1) as f64;
    let served = task.served.as_ref().is_some_and(|served| !served.segments.is_empty());
    let parent_inertia = former.filter(|_| served).map(|centroids| {
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

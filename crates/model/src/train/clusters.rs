//! Clusters of a training: how many, found from the centroids of the last model with segments, and the reason if there
//! are fewer than wanted. Empty clusters are dropped before anything refers to them.

use super::shortfall;
use super::task::TrainingTask;
use crate::command::SegmentCount;
use crate::error::Error;
use ndarray::{Array2, ArrayView2};
use portrait_learning::segmentation::{
    KMeansFit, KSelectionParams, Params, distinct_rows, fit, fit_warm, select_k,
};
use portrait_proto::v1::PartShortfall;

/// Least number of kinds of users that make segments.
const KINDS_MIN: usize = 2;

/// Clusters of the sampled users.
pub(super) struct Clustering {
    /// Clusters, none empty; `None` if there are too few users, or they are all alike.
    pub(super) fit: Option<KMeansFit>,
    /// Reason if there are fewer clusters than wanted.
    pub(super) shortfall: Option<PartShortfall>,
}

/// Clusters `rows` (`n x axes`), starting from the centroids (`k x axes`) of the last model with segments if it has as many.
///
/// # Errors
/// As [`fit`] and [`select_k`].
pub(super) fn cluster(
    task: &TrainingTask,
    rows: ArrayView2<'_, f32>,
    former_centroids: Option<&Array2<f32>>,
) -> Result<Clustering, Error> {
    let config = &task.config;
    let users = rows.nrows();
    if users < config.rows_min {
        return Ok(Clustering::none(shortfall::too_few_users(users, config.rows_min)));
    }
    let requested = requested(task);
    let kinds = distinct_rows(rows, requested.unwrap_or(config.segments_max).max(KINDS_MIN));
    if kinds < KINDS_MIN {
        return Ok(Clustering::none(shortfall::all_alike(users)));
    }
    let params = Params { seed: config.seed, ..Params::default() };
    // The sample that the number is chosen on may lack rare kinds.
    let count = match requested {
        Some(count) => count.min(kinds),
        None => chosen(task, rows, &params)?.max(KINDS_MIN),
    };
    task.progress.report("clustering", 0, users as u64);
    let found = match former_centroids {
        // A warm start keeps segments where they are: less churn of ids, names and audiences.
        Some(former) if former.nrows() == count => fit_warm(rows, former.view(), &params)?,
        _ => fit(rows, count, &params)?,
    };
    let found = found.without_empty();
    let clusters = found.centroids.nrows();
    task.progress.report("naming", 0, clusters as u64);
    let shortfall = match requested {
        Some(requested) if clusters < requested => Some(shortfall::fewer_than_requested(clusters, requested)),
        None if clusters < config.segments_min => {
            Some(shortfall::fewer_than_tried(clusters, config.segments_min))
        }
        _ => None,
    };
    Ok(Clustering { fit: Some(found), shortfall })
}

impl Clustering {
    fn none(shortfall: PartShortfall) -> Self {
        Self { fit: None, shortfall: Some(shortfall) }
    }
}

/// Returns the wanted number of segments; `None` if it is chosen by silhouette.
fn requested(task: &TrainingTask) -> Option<usize> {
    match task.count {
        SegmentCount::Exactly(count) => Some(count),
        SegmentCount::Unchanged => task.segmented.as_ref().map(|former| former.segments.len()),
        SegmentCount::Auto => None,
    }
}

fn chosen(task: &TrainingTask, rows: ArrayView2<'_, f32>, params: &Params) -> Result<usize, Error> {
    task.progress.report("choosing the number of segments", 0, 0);
    let k = task.config.segments_min..=task.config.segments_max;
    let choice =
        select_k(rows, &KSelectionParams { k, params: params.clone(), ..KSelectionParams::default() })?;
    tracing::info!(segments = choice.k, candidates = ?choice.candidates, "number of segments chosen");
    Ok(choice.k)
}

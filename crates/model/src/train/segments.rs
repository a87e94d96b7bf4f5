//! Segments of a training: clusters get the ids and names of the segments before them, or new ones, and typical
//! categories. Input: the clusters and the last model with segments. Output: segments, retired ones, and centroids.

use super::task::TrainingTask;
use crate::sample::TrainingSample;
use ndarray::{Array2, ArrayView2};
use portrait_learning::segmentation::{
    KMeansFit, MatchedSegment, Origin, SegmentDescription, describe_segments, is_numbered, match_segments,
    means,
};
use portrait_learning::{Model, Retired, Segment, TypicalCategory};
use portrait_profile::{FeatureSchema, SegmentId};
use std::collections::HashMap;

/// Maximum number of typical categories per segment, minimum lift, and minimum number of users.
const TYPICAL_CATEGORIES_MAX: usize = 5;
const LIFT_MIN: f64 = 1.1;
const CATEGORY_USERS_MIN: usize = 5;

/// Segments of a model.
pub(super) struct LearnedSegments {
    /// Means of the clusters in scaled components, `k x d`.
    pub(super) centroids: Array2<f32>,
    /// Segments in the order of the centroids.
    pub(super) segments: Vec<Segment>,
    /// Segments of the last model with segments that no longer exist.
    pub(super) retired: Vec<Retired>,
    /// First unused segment id.
    pub(super) next: SegmentId,
    /// Segment of each sampled user before; empty without segments.
    before: Vec<Option<SegmentId>>,
}

impl LearnedSegments {
    /// Gives the clusters of `scaled` rows (`n x d`) ids and names.
    pub(super) fn of(task: &TrainingTask, fit: &KMeansFit, scaled: ArrayView2<'_, f32>) -> Self {
        let former: &[Segment] = task.segmented.as_ref().map_or(&[], |model| &model.segments);
        let live: Vec<SegmentId> = former.iter().map(|segment| segment.id).collect();
        let clusters = fit.centroids.nrows();
        let centroids = means(scaled, &fit.labels, clusters);
        // Matched by members, not by centroids: coordinates of two models are not comparable.
        let before = segments_before(task);
        let matching = match_segments(&before, &fit.labels, clusters, &live, task.next_segment);
        let rows = task.sample.len().max(1) as f64;
        let shares: Vec<f64> = fit.sizes.iter().map(|size| *size as f64 / rows).collect();
        let taken: Vec<String> = former.iter().map(|segment| segment.name.clone()).collect();
        let raw_means = means(task.sample.rows(), &fit.labels, clusters);
        let components = FeatureSchema::current().components();
        let descriptions = describe_segments(centroids.view(), raw_means.view(), &shares, components, &taken);
        let categories = categories(&task.sample, fit);
        let parts = matching.segments.into_iter().zip(descriptions).zip(shares).zip(categories);
        let segments = parts.map(|(((matched, description), share), categories)| {
            segment(task, matched, description, share, categories)
        });
        let segments = segments.collect();
        let retired = matching.retired.into_iter().map(|(id, to)| {
            let name = task.segmented.as_ref().and_then(|model| model.segment_name(id)).unwrap_or_default();
            Retired { id, name: name.to_owned(), to }
        });
        Self { centroids, segments, retired: retired.collect(), next: matching.next, before }
    }

    /// Ends all segments of the served model, for vectors of `width` components.
    pub(super) fn none(task: &TrainingTask, width: usize) -> Self {
        let ended = task.served.iter().flat_map(|model| &model.segments);
        let retired =
            ended.map(|segment| Retired { id: segment.id, name: segment.name.clone(), to: Vec::new() });
        Self {
            centroids: Array2::zeros((0, width)),
            segments: Vec::new(),
            retired: retired.collect(),
            next: task.next_segment,
            before: Vec::new(),
        }
    }

    /// Share of users whose segment is unchanged; none without a previous model. `labels` has the cluster of each user.
    pub(super) fn retained_share(&self, labels: &[u32]) -> Option<f64> {
        let known = self.before.iter().zip(labels).filter_map(|(before, label)| Some(((*before)?, label)));
        let mut all = 0_u64;
        let mut retained = 0_u64;
        for (before, label) in known {
            all += 1;
            let now = self.segments.get(*label as usize);
            retained += u64::from(now.is_some_and(|segment| segment.id == before));
        }
        (all > 0).then(|| retained as f64 / all as f64)
    }
}

/// Returns the segment of each sampled user in the last model with segments.
fn segments_before(task: &TrainingTask) -> Vec<Option<SegmentId>> {
    let Some(former) = task.segmented.as_deref().filter(|former| !is_served(task, former)) else {
        return task.sample.segments().collect();
    };
    // The users lost their segments with the served model, which has none: the former one says where they would be.
    let mut segments = Vec::with_capacity(task.sample.len());
    for (row, user) in task.sample.rows().outer_iter().zip(&task.sample.sampled) {
        segments.push(former.assign(&row.to_vec(), user.segment).map(|assigned| assigned.segment_id));
    }
    segments
}

fn is_served(task: &TrainingTask, model: &Model) -> bool {
    task.served.as_ref().is_some_and(|served| served.version == model.version)
}

fn segment(
    task: &TrainingTask,
    matched: MatchedSegment,
    description: SegmentDescription,
    trained_share: f64,
    categories: Vec<TypicalCategory>,
) -> Segment {
    let before = task.segmented.as_ref().and_then(|model| model.segment(matched.id));
    Segment {
        id: matched.id,
        // A segment keeps its name as long as its id: people and campaigns refer to it. One with a number says nothing to them.
        name: before
            .map(|before| before.name.clone())
            .filter(|name| !is_numbered(name))
            .unwrap_or(description.name),
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

//! From a sample to a candidate: space, centroids that begin where the live ones are, segments that keep their identity, what is
//! learned beside them, and how good all of it is. In come vectors and the model that is served, out goes a candidate. Pure: it computes for as long as
//! it takes, on a thread of its own.

mod learned;

use crate::config::ValidConfig;
use crate::error::Error;
use crate::sample::Sample;
use learned::{Found, learned};
use ndarray::{Array2, ArrayView2, Axis};
use portrait_learning::drift::Lately;
use portrait_learning::segmentation::{
    ChoiceParams, Fit, Matched, Origin, Params, Portrayed, Space, assign, choose_k, fit, fit_warm,
    match_members, means, portray, simplified_silhouette,
};
use portrait_learning::{Model, Retired, Segment, TypicalCategory};
use portrait_profile::{FeatureSchema, ModelVersion, SegmentId};
use portrait_proto::v1::{ModelQuality, TrainProgress};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Rows that quality is judged by at most.
const JUDGED_ROWS: usize = 10_000;
/// Categories that are told of a segment at most, and the least that makes one typical.
const CATEGORIES_TOLD: usize = 5;
const LIFT_MIN: f64 = 1.1;
const LOVERS_MIN: usize = 5;

/// How many segments a candidate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// As many as the model before; chosen if there is none.
    Same,
    /// Whatever suits the vectors best.
    Chosen,
    /// So many.
    Exactly(usize),
}

/// Where a training tells how far it is. Whoever does not listen is not waited for.
#[derive(Clone, Default)]
pub(crate) struct Progress(Option<mpsc::Sender<TrainProgress>>);

/// What a training starts from.
pub(crate) struct Task {
    pub(crate) sample: Sample,
    pub(crate) live: Option<Arc<Model>>,
    pub(crate) version: ModelVersion,
    /// The first segment id that was never given.
    pub(crate) next_segment: SegmentId,
    pub(crate) count: Count,
    pub(crate) config: ValidConfig,
    pub(crate) progress: Progress,
}

/// A candidate.
pub(crate) struct Candidate {
    pub(crate) model: Model,
    pub(crate) quality: ModelQuality,
    pub(crate) rows: usize,
}

impl Progress {
    /// Tells nobody.
    pub(crate) fn silent() -> Self {
        Self::default()
    }

    /// Tells a caller.
    pub(crate) fn to(sender: mpsc::Sender<TrainProgress>) -> Self {
        Self(Some(sender))
    }

    /// Tells a stage and how much of it is done.
    pub(crate) fn tell(&self, stage: &str, done: u64, total: u64) {
        if let Some(sender) = &self.0 {
            // A full queue means that the caller is behind; the next word will do.
            let _ = sender.try_send(TrainProgress { stage: stage.to_owned(), done, total });
        }
    }
}

/// Learns a candidate.
pub(crate) fn train(task: &Task) -> Result<Candidate, Error> {
    let schema = FeatureSchema::current();
    let (raw, config) = (task.sample.rows(), &task.config);
    if raw.nrows() < config.rows_min {
        return Err(Error::TooFew { rows: raw.nrows(), needed: config.rows_min });
    }
    task.progress.tell("scaling", 0, raw.nrows() as u64);
    let (space, scaled) = Space::fit(raw, schema)?;
    let rows = space.places(scaled.view());
    let live = task.live.as_deref().map(|model| space.places_from(&model.space, model.centroids()));
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
    let reference = Lately::current().reference(&task.sample.seen());
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
    let model = draft.with_centroids(centroids.view())?.with_learned(learned(task, &placed)?)?;
    let quality = ModelQuality { kept_share: kept_share(&task.sample, &model, &found), ..quality };
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
                choose_k(rows, &ChoiceParams { k, params: params.clone(), ..ChoiceParams::default() })?;
            tracing::info!(segments = choice.k, candidates = ?choice.candidates, "number of segments chosen");
            Ok(choice.k)
        }
    }
}

fn quality(task: &Task, rows: ArrayView2<'_, f32>, found: &Fit, live: Option<&Array2<f32>>) -> ModelQuality {
    let each = |inertia: f64| inertia / task.sample.len().max(1) as f64;
    let of_live = live.map(|live| {
        let (_, squared) = assign(rows, live.view());
        each(squared.iter().map(|squared| f64::from(*squared)).sum())
    });
    // Who comes first is decided by partition and key, which say nothing of what shoppers are like.
    let judged = rows.slice_axis(Axis(0), ndarray::Slice::from(..rows.nrows().min(JUDGED_ROWS)));
    ModelQuality {
        inertia_per_row: each(found.inertia),
        parent_inertia_per_row: of_live,
        silhouette: simplified_silhouette(judged, found.centroids.view()),
        kept_share: None,
    }
}

/// The segments with identities and names, those that are no more, and the first id that was never given.
fn segments(
    task: &Task,
    found: &Fit,
    centroids: ArrayView2<'_, f32>,
) -> (Vec<Segment>, Vec<Retired>, SegmentId) {
    let live: Vec<SegmentId> =
        task.live.iter().flat_map(|model| &model.segments).map(|segment| segment.id).collect();
    let next = task.next_segment;
    let clusters = found.centroids.nrows();
    let before: Vec<Option<SegmentId>> = task.sample.segments().collect();
    let matching = match_members(&before, &found.labels, clusters, &live, next);
    let rows = task.sample.len().max(1) as f64;
    let shares: Vec<f64> = found.sizes.iter().map(|size| *size as f64 / rows).collect();
    let taken: Vec<String> =
        task.live.iter().flat_map(|model| &model.segments).map(|segment| segment.name.clone()).collect();
    let components = FeatureSchema::current().components();
    let portrayed = portray(centroids, &shares, components, &taken);
    let categories = categories(&task.sample, found);
    let parts = matching.segments.into_iter().zip(portrayed).zip(shares).zip(categories);
    let segments = parts.map(|(((matched, portrayed), share), categories)| {
        segment(task, matched, portrayed, share, categories)
    });
    let segments = segments.collect();
    let name = |id: SegmentId| task.live.as_ref().and_then(|model| model.name(id)).unwrap_or_default();
    let retired = matching.retired.into_iter().map(|(id, to)| Retired { id, name: name(id).to_owned(), to });
    (segments, retired.collect(), matching.next)
}

fn segment(
    task: &Task,
    matched: Matched,
    portrayed: Portrayed,
    trained_share: f64,
    categories: Vec<TypicalCategory>,
) -> Segment {
    let before = task.live.as_ref().and_then(|model| model.segment(matched.id));
    Segment {
        id: matched.id,
        // A name stays while the identity does, whatever the newest numbers would be called.
        name: before.map_or(portrayed.name, |before| before.name.clone()),
        description: portrayed.description,
        defining: portrayed.defining,
        trained_share,
        origin: if before.is_none() && matched.origin == Origin::Kept {
            Origin::Born
        } else {
            matched.origin
        },
        overlap: matched.overlap,
        first_version: before.map_or(task.version, |before| before.first_version),
        categories,
    }
}

/// What is liked more in each cluster than elsewhere.
fn categories(sample: &Sample, found: &Fit) -> Vec<Vec<TypicalCategory>> {
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
        // What many like and few elsewhere: neither a rarity nor what everybody likes.
        let weight = |category: &TypicalCategory| category.share * category.lift.ln();
        typical.sort_by(|one, other| {
            weight(other).total_cmp(&weight(one)).then_with(|| one.name.cmp(&other.name))
        });
        typical.truncate(CATEGORIES_TOLD);
        typical
    };
    by_cluster.iter().map(of_cluster).collect()
}

/// The share of shoppers whose segment is the same as before; none without a model before.
fn kept_share(sample: &Sample, model: &Model, found: &Fit) -> Option<f64> {
    let known = sample.segments().zip(&found.labels).filter_map(|(before, label)| Some((before?, label)));
    let (mut all, mut kept) = (0_u64, 0_u64);
    for (before, label) in known {
        all += 1;
        kept += u64::from(model.segments.get(*label as usize).is_some_and(|segment| segment.id == before));
    }
    (all > 0).then(|| kept as f64 / all as f64)
}

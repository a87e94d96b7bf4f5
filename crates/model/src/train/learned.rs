//! Predictors of a training: recommender, next-action model, scorers and similar users, each only if there is enough
//! data. Input: the sample, the segment of each user and its coordinates. Output: model parts.

use super::task::Task;
use crate::error::Error;
use crate::sample::Labelled;
use ndarray::ArrayView2;
use portrait_learning::prediction::next_action::{NextActionModel, UserTransitions};
use portrait_learning::prediction::learners::{self, Scorer};
use portrait_learning::prediction::recommend::ItemRecommender;
use portrait_learning::prediction::{Predictors, Lookalikes, factors};
use portrait_profile::ScoreTarget;
use std::sync::Arc;

/// Clustering result of the sampled users.
pub(super) struct Found<'a> {
    /// Index of each user's segment in the model.
    pub(super) labels: &'a [u32],
    /// Number of segments.
    pub(super) segments: usize,
    /// Coordinates of the users, one row per user.
    pub(super) places: ArrayView2<'a, f32>,
}

/// Learns all predictors.
pub(super) fn learned(task: &Task, found: &Found<'_>) -> Result<Predictors, Error> {
    Ok(Predictors {
        items: items(task, found)?.map(Arc::new),
        behavior: behavior(task, found)?.map(Arc::new),
        propensity: scorer(task, ScoreTarget::Propensity)?.map(Arc::new),
        risk: scorer(task, ScoreTarget::Risk)?.map(Arc::new),
        lookalikes: lookalikes(task, found).map(Arc::new),
    })
}

/// Learns the recommender; none without item interactions.
fn items(task: &Task, found: &Found<'_>) -> Result<Option<ItemRecommender>, Error> {
    let pasts = &task.sample.pasts;
    task.progress.tell("training recommender", 0, pasts.items.len() as u64);
    let latent = factors::Params { seed: task.config.seed, ..factors::Params::default() };
    let items =
        ItemRecommender::learn(pasts.items.clone(), &pasts.with_segments(found.labels), found.segments, &latent)?;
    Ok(items.map(|items| items.with_cold_start(&task.sample.catalogue)))
}

/// Learns the next-action model; none without transitions.
fn behavior(task: &Task, found: &Found<'_>) -> Result<Option<NextActionModel>, Error> {
    let chosen = &task.sample.chosen;
    task.progress.tell("training next-action model", 0, chosen.len() as u64);
    let own = chosen.iter().zip(found.labels);
    let own: Vec<UserTransitions> =
        own.map(|(one, label)| UserTransitions { segment: Some(*label), transitions: one.steps.clone() }).collect();
    Ok(NextActionModel::learn(&own)?)
}

/// Learns the scorer of a target; none if either outcome is too rare.
fn scorer(task: &Task, target: ScoreTarget) -> Result<Option<Scorer>, Error> {
    let Labelled { values, happened } = task.sample.cases.of(target);
    if happened.is_empty() {
        return Ok(None);
    }
    task.progress.tell("training scores", 0, happened.len() as u64);
    let params = learners::Params { seed: task.config.seed, ..learners::Params::default() };
    match learners::learn(values.view(), happened, None, &params) {
        Ok(scorer) => {
            let (learner, quality) = (scorer.kind(), scorer.quality());
            tracing::info!(?target, ?learner, cases = happened.len(), auc = quality.auc, "score trained");
            Ok(Some(scorer))
        }
        Err(portrait_learning::Error::TooFew { rows, needed }) => {
            tracing::info!(
                ?target,
                cases = happened.len(),
                rows,
                needed,
                "too few outcomes to train a score"
            );
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the sample for similar users: the first users in hash order, which is a uniform subsample.
fn lookalikes(task: &Task, found: &Found<'_>) -> Option<Lookalikes> {
    let mut sample = Lookalikes::new(found.places.ncols());
    for (one, place) in
        task.sample.chosen.iter().zip(found.places.outer_iter()).take(task.config.lookalikes_max)
    {
        sample.add(one.user_id.clone(), &place.to_vec());
    }
    (!sample.is_empty()).then_some(sample)
}

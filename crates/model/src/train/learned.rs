//! What a training learns beside segments, each from what there is of it: items, what is done next, scores, and who is like whom. In
//! come the sample, the segment of each shopper in it and where they are; out go parts, and none of what there is too little for.

use super::Task;
use crate::error::Error;
use crate::sample::Labelled;
use ndarray::ArrayView2;
use portrait_learning::prediction::behavior::{Behavior, OwnSteps};
use portrait_learning::prediction::learners::{self, Scorer};
use portrait_learning::prediction::recommend::Items;
use portrait_learning::prediction::{Learned, Lookalikes, factors};
use portrait_profile::Target;
use std::sync::Arc;

/// Where the shoppers of the sample have ended up.
pub(super) struct Found<'a> {
    /// The place of each one's segment in the model.
    pub(super) labels: &'a [u32],
    /// How many segments there are.
    pub(super) segments: usize,
    /// Where each is, a row a shopper.
    pub(super) places: ArrayView2<'a, f32>,
}

/// Learns everything.
pub(super) fn learned(task: &Task, found: &Found<'_>) -> Result<Learned, Error> {
    Ok(Learned {
        items: items(task, found)?.map(Arc::new),
        behavior: behavior(task, found)?.map(Arc::new),
        propensity: scorer(task, Target::Propensity)?.map(Arc::new),
        risk: scorer(task, Target::Risk)?.map(Arc::new),
        lookalikes: lookalikes(task, found).map(Arc::new),
    })
}

/// What is learned of items, if shoppers had any.
fn items(task: &Task, found: &Found<'_>) -> Result<Option<Items>, Error> {
    let pasts = &task.sample.pasts;
    task.progress.tell("learning items", 0, pasts.items.len() as u64);
    let latent = factors::Params { seed: task.config.seed, ..factors::Params::default() };
    let items =
        Items::learn(pasts.items.clone(), &pasts.with_segments(found.labels), found.segments, &latent)?;
    Ok(items.map(|items| items.with_newcomers(&task.sample.catalogue)))
}

/// What is done next, if anything ever was.
fn behavior(task: &Task, found: &Found<'_>) -> Result<Option<Behavior>, Error> {
    let chosen = &task.sample.chosen;
    task.progress.tell("learning what is done next", 0, chosen.len() as u64);
    let own = chosen.iter().zip(found.labels);
    let own: Vec<OwnSteps> =
        own.map(|(one, label)| OwnSteps { segment: Some(*label), steps: one.steps.clone() }).collect();
    Ok(Behavior::learn(&own)?)
}

/// What scores a target, if both outcomes are there often enough.
fn scorer(task: &Task, target: Target) -> Result<Option<Scorer>, Error> {
    let Labelled { values, happened } = task.sample.cases.of(target);
    if happened.is_empty() {
        return Ok(None);
    }
    task.progress.tell("learning scores", 0, happened.len() as u64);
    let params = learners::Params { seed: task.config.seed, ..learners::Params::default() };
    match learners::learn(values.view(), happened, None, &params) {
        Ok(scorer) => {
            let (learner, quality) = (scorer.kind(), scorer.quality());
            tracing::info!(?target, ?learner, cases = happened.len(), auc = quality.auc, "score learned");
            Ok(Some(scorer))
        }
        Err(portrait_learning::Error::TooFew { rows, needed }) => {
            tracing::info!(
                ?target,
                cases = happened.len(),
                rows,
                needed,
                "too few outcomes to learn a score"
            );
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The first shoppers of the sample, who are there by chance.
fn lookalikes(task: &Task, found: &Found<'_>) -> Option<Lookalikes> {
    let mut sample = Lookalikes::new(found.places.ncols());
    for (one, place) in
        task.sample.chosen.iter().zip(found.places.outer_iter()).take(task.config.lookalikes_max)
    {
        sample.add(one.user_id.clone(), &place.to_vec());
    }
    (!sample.is_empty()).then_some(sample)
}

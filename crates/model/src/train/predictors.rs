//! Predictors of a training: recommender, next-action model, scorers and similar users, each only if there is enough
//! data. Input: the sample, the segment of each user and its coordinates. Output: model parts.

use super::task::TrainingTask;
use crate::error::Error;
use crate::sample::LabelledSet;
use ndarray::ArrayView2;
use portrait_learning::prediction::learners::{self, Scorer};
use portrait_learning::prediction::next_action::{NextActionModel, UserTransitions};
use portrait_learning::prediction::recommend::ItemRecommender;
use portrait_learning::prediction::{Lookalikes, Predictors, factors};
use portrait_profile::ScoreTarget;
use std::sync::Arc;

/// Clustering result of the sampled users.
pub(super) struct ClusterLabels<'a> {
    /// Index of each user's segment in the model.
    pub(super) labels: &'a [u32],
    /// Number of segments of the model.
    pub(super) segments: usize,
    /// Coordinates of the users, one row per user.
    pub(super) coordinates: ArrayView2<'a, f32>,
}

/// Learns all predictors for which there is enough data.
pub(super) fn learn_predictors(task: &TrainingTask, found: &ClusterLabels<'_>) -> Result<Predictors, Error> {
    Ok(Predictors {
        items: items(task, found)?.map(Arc::new),
        behavior: behavior(task, found)?.map(Arc::new),
        propensity: scorer(task, ScoreTarget::Propensity)?.map(Arc::new),
        risk: scorer(task, ScoreTarget::Risk)?.map(Arc::new),
        lookalikes: lookalikes(task, found).map(Arc::new),
    })
}

/// Learns the recommender; none without item interactions.
fn items(task: &TrainingTask, found: &ClusterLabels<'_>) -> Result<Option<ItemRecommender>, Error> {
    let histories = &task.sample.histories;
    task.progress.report("training recommender", 0, histories.items.len() as u64);
    let latent = factors::Params { seed: task.config.seed, ..factors::Params::default() };
    let items = ItemRecommender::learn(
        histories.items.clone(),
        &histories.with_segments(found.labels),
        found.segments,
        &latent,
    )?;
    Ok(items.map(|items| items.with_cold_start(&task.sample.catalogue.items)))
}

/// Learns the next-action model; none without transitions.
fn behavior(task: &TrainingTask, found: &ClusterLabels<'_>) -> Result<Option<NextActionModel>, Error> {
    let users = &task.sample.sampled;
    task.progress.report("training next-action model", 0, users.len() as u64);
    let labelled = users.iter().zip(found.labels);
    let transitions: Vec<UserTransitions> = labelled
        .map(|(user, label)| UserTransitions { segment: Some(*label), transitions: user.steps.clone() })
        .collect();
    Ok(NextActionModel::learn(&transitions)?)
}

/// Learns the scorer of a target; none if either outcome is too rare.
fn scorer(task: &TrainingTask, target: ScoreTarget) -> Result<Option<Scorer>, Error> {
    let LabelledSet { values, labels, .. } = task.sample.examples.of(target);
    if labels.is_empty() {
        return Ok(None);
    }
    task.progress.report("training scores", 0, labels.len() as u64);
    // A fixed seed: the same sample must give the same model.
    let params = learners::Params { seed: task.config.seed, ..learners::Params::default() };
    match learners::learn(values.view(), labels, None, &params) {
        Ok(scorer) => {
            let learner = scorer.kind();
            let auc = scorer.quality().auc;
            tracing::info!(?target, ?learner, examples = labels.len(), auc, "score trained");
            Ok(Some(scorer))
        }
        // Expected in young shops: the model is published without this part.
        Err(portrait_learning::Error::TooFew { rows, needed }) => {
            tracing::info!(
                ?target,
                examples = labels.len(),
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
fn lookalikes(task: &TrainingTask, found: &ClusterLabels<'_>) -> Option<Lookalikes> {
    let mut sample = Lookalikes::new(found.coordinates.ncols());
    for (user, coordinates) in
        task.sample.sampled.iter().zip(found.coordinates.outer_iter()).take(task.config.lookalikes_max)
    {
        sample.add(user.user_id.clone(), &coordinates.to_vec());
    }
    (!sample.is_empty()).then_some(sample)
}

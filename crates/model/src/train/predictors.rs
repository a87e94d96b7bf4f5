//! Predictors of a training: recommender, next-action model, scorers and similar users, each only if there is enough
//! data, and the reason for each that is missing. Input: the sample, the segment of each user, if any, and its
//! coordinates. Output: model parts.

use super::shortfall;
use super::task::TrainingTask;
use crate::error::Error;
use crate::sample::LabelledSet;
use ndarray::ArrayView2;
use portrait_learning::prediction::learners::{self, Scorer};
use portrait_learning::prediction::next_action::{NextActionModel, UserTransitions};
use portrait_learning::prediction::recommend::ItemRecommender;
use portrait_learning::prediction::{BEHAVIOR, ITEMS, Lookalikes, PROPENSITY, Predictors, RISK, factors};
use portrait_profile::ScoreTarget;
use portrait_proto::v1::PartShortfall;
use std::sync::Arc;

/// Clustering result of the sampled users.
pub(super) struct ClusterLabels<'a> {
    /// Index of each user's segment in the model; empty without segments.
    pub(super) labels: &'a [u32],
    /// Number of segments of the model; 0 without.
    pub(super) segments: usize,
    /// Coordinates of the users, one row per user.
    pub(super) coordinates: ArrayView2<'a, f32>,
}

/// Predictors, and the reasons for those that are missing.
pub(super) struct LearnedPredictors {
    pub(super) predictors: Predictors,
    pub(super) shortfalls: Vec<PartShortfall>,
}

/// Predictor, or the reason that there is none; neither if it is disabled.
struct Attempt<T> {
    part: Option<Arc<T>>,
    shortfall: Option<PartShortfall>,
}

impl<T> Attempt<T> {
    fn learned(part: T) -> Self {
        Self { part: Some(Arc::new(part)), shortfall: None }
    }

    fn failed(shortfall: PartShortfall) -> Self {
        Self { part: None, shortfall: Some(shortfall) }
    }

    fn disabled() -> Self {
        Self { part: None, shortfall: None }
    }
}

/// Learns all predictors for which there is enough data.
pub(super) fn learn_predictors(
    task: &TrainingTask,
    found: &ClusterLabels<'_>,
) -> Result<LearnedPredictors, Error> {
    let items = items(task, found)?;
    let behavior = behavior(task, found)?;
    let propensity = scorer(task, ScoreTarget::Propensity)?;
    let risk = scorer(task, ScoreTarget::Risk)?;
    let shortfalls = [items.shortfall, behavior.shortfall, propensity.shortfall, risk.shortfall];
    let predictors = Predictors {
        items: items.part,
        behavior: behavior.part,
        propensity: propensity.part,
        risk: risk.part,
        lookalikes: lookalikes(task, found).map(Arc::new),
    };
    Ok(LearnedPredictors { predictors, shortfalls: shortfalls.into_iter().flatten().collect() })
}

/// Learns the recommender; none without item interactions.
fn items(task: &TrainingTask, found: &ClusterLabels<'_>) -> Result<Attempt<ItemRecommender>, Error> {
    if task.config.histories_max == 0 {
        return Ok(Attempt::disabled());
    }
    let histories = &task.sample.histories;
    task.progress.report("training recommender", 0, histories.items.len() as u64);
    let latent = factors::Params { seed: task.config.seed, ..factors::Params::default() };
    let items = ItemRecommender::learn(
        histories.items.clone(),
        &histories.with_segments(found.labels),
        found.segments,
        &latent,
    )?;
    Ok(match items {
        Some(items) => Attempt::learned(items.with_cold_start(&task.sample.catalogue.items)),
        None => Attempt::failed(shortfall::missing(
            ITEMS,
            "no profile has an item",
            "send events with item_id, and train again",
        )),
    })
}

/// Learns the next-action model; none without transitions.
fn behavior(task: &TrainingTask, found: &ClusterLabels<'_>) -> Result<Attempt<NextActionModel>, Error> {
    let users = &task.sample.sampled;
    task.progress.report("training next-action model", 0, users.len() as u64);
    let mut transitions = Vec::with_capacity(users.len());
    for (index, user) in users.iter().enumerate() {
        // Without segments there are no labels.
        let segment = found.labels.get(index).copied();
        transitions.push(UserTransitions { segment, transitions: user.steps.clone() });
    }
    Ok(match NextActionModel::learn(&transitions)? {
        Some(behavior) => Attempt::learned(behavior),
        None => Attempt::failed(shortfall::missing(
            BEHAVIOR,
            "no profile has two actions in one visit",
            "train again when there are longer visits",
        )),
    })
}

/// Learns the scorer of a target; none if either outcome is too rare.
fn scorer(task: &TrainingTask, target: ScoreTarget) -> Result<Attempt<Scorer>, Error> {
    if task.config.examples_max == 0 {
        return Ok(Attempt::disabled());
    }
    let LabelledSet { values, labels, .. } = task.sample.examples.of(target);
    let (part, remedy) = match target {
        ScoreTarget::Propensity => (PROPENSITY, "train again when more visits are a week old"),
        ScoreTarget::Risk => (RISK, "send outcomes of orders, and train again when there are more"),
    };
    if labels.is_empty() {
        let reason = "no outcome is known yet";
        return Ok(Attempt::failed(shortfall::missing(part, reason, remedy)));
    }
    task.progress.report("training scores", 0, labels.len() as u64);
    // A fixed seed: the same sample must give the same model.
    let params = learners::Params { seed: task.config.seed, ..learners::Params::default() };
    match learners::learn(values.view(), labels, None, &params) {
        Ok(scorer) => {
            let learner = scorer.kind();
            let auc = scorer.quality().auc;
            tracing::info!(?target, ?learner, examples = labels.len(), auc, "score trained");
            Ok(Attempt::learned(scorer))
        }
        // Expected in young shops: the model is published without this part.
        Err(portrait_learning::Error::TooFew { rows, needed }) => {
            let examples = labels.len();
            tracing::info!(?target, examples, rows, needed, "too few outcomes to train a score");
            let reason = format!(
                "{examples} outcomes are known, too few of one kind: {rows} where {needed} are needed"
            );
            Ok(Attempt::failed(shortfall::missing(part, reason, remedy)))
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

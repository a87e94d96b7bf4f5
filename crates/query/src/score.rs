//! Scores: the current profile, evaluated by the active model. Input: a user and a target. Output: a probability and
//! its explanation. No state is kept between requests.

use crate::context::QueryContext;
use crate::error::Error;
use crate::read::{self, ReadOptions};
use ndarray::ArrayView1;
use portrait_learning::evaluation::ProbabilityQuality;
use portrait_learning::prediction::learners::{LearnerKind, Score, TreeStep};
use portrait_profile::{FeatureComponent, FeatureSchema, ScoreTarget, UserId};
use portrait_proto::v1;

/// Scores a user, with at most `reasons` contributions.
pub(crate) async fn score(
    shared: &QueryContext,
    user_id: UserId,
    target: ScoreTarget,
    reasons: usize,
    options: &ReadOptions,
) -> Result<v1::ScoreResponse, Error> {
    let model = shared.served()?;
    let scorer = model.predictors().scorer(target).ok_or(Error::NotTrained { remedy: remedy(target) })?;
    let (profile, read_time) = read::stored_at(shared, &user_id, options).await?;
    // Rounded to bf16 like the stored snapshots that the scorer was trained on.
    let features = profile.features_bf16_at(read_time);
    let score =
        scorer.score(ArrayView1::from(&features)).map_err(|source| Error::Unscored { user_id, source })?;
    // The reasons and the rest add up to the log odds, so that a caller can check the explanation.
    let (reasons, other_log_odds) = to_wire(&score, &features, reasons);
    Ok(v1::ScoreResponse {
        probability: score.probability,
        log_odds: score.log_odds,
        base_log_odds: score.base,
        reasons,
        other_log_odds,
        path: score.path.iter().map(step).collect(),
        learner: learner(scorer.kind()).into(),
        quality: Some(quality(&scorer.quality())),
        profile_version: profile.version().get(),
        model_version: model.version.get(),
    })
}

/// Returns the `count` largest contributions by absolute log odds, and the sum of the others.
fn to_wire(score: &Score, features: &[f32], count: usize) -> (Vec<v1::ScoreReason>, f64) {
    let mut columns: Vec<usize> = (0..score.contributions.len()).collect();
    columns
        .sort_by(|one, other| score.contributions[*other].abs().total_cmp(&score.contributions[*one].abs()));
    let (first, rest) = columns.split_at(count.min(columns.len()));
    let mut reasons = Vec::with_capacity(first.len());
    for column in first {
        let component = component(*column);
        reasons.push(v1::ScoreReason {
            component: component.name.clone(),
            description: component.description.clone(),
            unit: component.unit.to_owned(),
            value: features[*column].into(),
            log_odds: score.contributions[*column],
        });
    }
    (reasons, rest.iter().map(|column| score.contributions[*column]).sum())
}

fn step(step: &TreeStep) -> v1::ScoreStep {
    v1::ScoreStep {
        component: component(step.column).name.clone(),
        threshold: step.threshold.into(),
        above: step.above,
        log_odds: step.log_odds,
    }
}

/// Returns the feature component of a column: scorers are as wide as the schema.
fn component(column: usize) -> &'static FeatureComponent {
    &FeatureSchema::current().components()[column]
}

fn learner(kind: LearnerKind) -> v1::ScoreLearner {
    match kind {
        LearnerKind::Tree => v1::ScoreLearner::Tree,
        LearnerKind::Network => v1::ScoreLearner::Network,
        LearnerKind::Logistic => v1::ScoreLearner::Logistic,
    }
}

fn quality(quality: &ProbabilityQuality) -> v1::ScoreQuality {
    v1::ScoreQuality {
        examples: quality.rows,
        positives: quality.positives,
        auc: quality.auc,
        log_loss: quality.log_loss,
        calibration_error: quality.calibration_error,
        threshold: quality.threshold,
        precision: quality.precision,
        recall: quality.recall,
    }
}

/// Remedy if the model has no scorer for the target.
fn remedy(target: ScoreTarget) -> &'static str {
    match target {
        ScoreTarget::Propensity => {
            "it needs users of a week ago who have purchased since, and users who have not: train a model when there are both"
        }
        ScoreTarget::Risk => {
            "it needs orders with bad and with good outcomes: send them by RecordOutcomes, then train a model"
        }
    }
}

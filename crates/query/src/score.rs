//! How likely something is of a shopper: the profile as it is now, read by the newest model. In come a shopper and a target, out go a
//! probability and what made it up. Nothing is kept between two answers.

use crate::error::Error;
use crate::read::{self, Terms};
use crate::service::Shared;
use ndarray::ArrayView1;
use portrait_learning::evaluation::Quality;
use portrait_learning::prediction::learners::{Kind, Score, Step};
use portrait_profile::{FeatureComponent, FeatureSchema, Target, UserId};
use portrait_proto::v1;

/// Scores, and gives so many reasons.
pub(crate) async fn score(
    shared: &Shared,
    user_id: UserId,
    target: Target,
    reasons: usize,
    terms: &Terms,
) -> Result<v1::ScoreResponse, Error> {
    let model = shared.served().ok_or(Error::NoModel)?;
    let scorer = model.learned().scorer(target).ok_or(Error::NotLearned { remedy: remedy(target) })?;
    let (profile, moment) = read::stored_at(shared, &user_id, terms).await?;
    let known = profile.known_at(moment);
    let score =
        scorer.score(ArrayView1::from(&known)).map_err(|source| Error::Unscored { user_id, source })?;
    let (reasons, other_log_odds) = told(&score, &known, reasons);
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

/// What moves a score most, and what the rest adds.
fn told(score: &Score, known: &[f32], count: usize) -> (Vec<v1::ScoreReason>, f64) {
    let mut order: Vec<usize> = (0..score.contributions.len()).collect();
    order.sort_by(|one, other| score.contributions[*other].abs().total_cmp(&score.contributions[*one].abs()));
    let (first, rest) = order.split_at(count.min(order.len()));
    let reason = |column: &usize| {
        let component = component(*column);
        v1::ScoreReason {
            component: component.name.clone(),
            description: component.description.clone(),
            unit: component.unit.to_owned(),
            value: known[*column].into(),
            log_odds: score.contributions[*column],
        }
    };
    (first.iter().map(reason).collect(), rest.iter().map(|column| score.contributions[*column]).sum())
}

fn step(step: &Step) -> v1::ScoreStep {
    v1::ScoreStep {
        component: component(step.column).name.clone(),
        threshold: step.threshold.into(),
        above: step.above,
        log_odds: step.log_odds,
    }
}

/// The component of a column: scorers are as wide as the schema.
fn component(column: usize) -> &'static FeatureComponent {
    &FeatureSchema::current().components()[column]
}

fn learner(kind: Kind) -> v1::ScoreLearner {
    match kind {
        Kind::Tree => v1::ScoreLearner::Tree,
        Kind::Network => v1::ScoreLearner::Network,
        Kind::Logistic => v1::ScoreLearner::Logistic,
    }
}

fn quality(quality: &Quality) -> v1::ScoreQuality {
    v1::ScoreQuality {
        cases: quality.rows,
        happened: quality.happened,
        auc: quality.auc,
        log_loss: quality.log_loss,
        calibration_error: quality.calibration_error,
        threshold: quality.threshold,
        precision: quality.precision,
        recall: quality.recall,
    }
}

/// What is missing where there is no scorer.
fn remedy(target: Target) -> &'static str {
    match target {
        Target::Propensity => {
            "shoppers of a week ago who bought since, and some who did not, are needed: train a model when there are some"
        }
        Target::Risk => {
            "orders that turned out badly, and some that did not, are needed: send them by RecordOutcomes, then train a model"
        }
    }
}

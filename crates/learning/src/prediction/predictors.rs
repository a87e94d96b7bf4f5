//! Predictors of a model, each encoded as a separate part because parts are large. Parts are sent by kind; a kind that this release
//! does not know is skipped, so that a newer trainer can serve older nodes.

use crate::prediction::learners::Scorer;
use crate::prediction::lookalikes::Lookalikes;
use crate::prediction::next_action::NextActionModel;
use crate::prediction::recommend::ItemRecommender;
use portrait_profile::{FeatureSchema, ScoreTarget};
use std::sync::Arc;

/// Kind of the recommender's part, as stored in manifests.
pub const ITEMS: &str = "items";
/// Kind of the next-action part.
pub const BEHAVIOR: &str = "behavior";
/// Kind of the part that scores a purchase within seven days.
pub const PROPENSITY: &str = "propensity";
/// Kind of the part that scores a bad outcome of an order.
pub const RISK: &str = "risk";
/// Kind of the similar-users part, the only one with user ids: an erased id stays in it until no older model is stored.
pub const LOOKALIKES: &str = "lookalikes";

/// Predictors of a model; `None` for those with too little training data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictors {
    /// Recommender of items by history.
    pub items: Option<Arc<ItemRecommender>>,
    /// Model of the next action.
    pub behavior: Option<Arc<NextActionModel>>,
    /// Scorer of a purchase within seven days.
    pub propensity: Option<Arc<Scorer>>,
    /// Scorer of a bad outcome of an order.
    pub risk: Option<Arc<Scorer>>,
    /// Sample of users for similarity search.
    pub lookalikes: Option<Arc<Lookalikes>>,
}

/// Error of decoding one part.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the part {kind:?} cannot be read: {problem}")]
pub struct PredictorError {
    /// Kind of the part.
    pub kind: &'static str,
    /// Description of the problem.
    pub problem: String,
}

impl Predictors {
    /// Scorer of the given target.
    pub fn scorer(&self, target: ScoreTarget) -> Option<&Arc<Scorer>> {
        match target {
            ScoreTarget::Propensity => self.propensity.as_ref(),
            ScoreTarget::Risk => self.risk.as_ref(),
        }
    }

    /// Encodes every part that exists, as (kind, bytes).
    pub fn encode(&self) -> Vec<(&'static str, Vec<u8>)> {
        let parts = [
            (ITEMS, self.items.as_ref().map(|part| part.encode())),
            (BEHAVIOR, self.behavior.as_ref().map(|part| part.encode())),
            (PROPENSITY, self.propensity.as_ref().map(|part| part.encode())),
            (RISK, self.risk.as_ref().map(|part| part.encode())),
            (LOOKALIKES, self.lookalikes.as_ref().map(|part| part.encode())),
        ];
        parts.into_iter().filter_map(|(kind, bytes)| Some((kind, bytes?))).collect()
    }

    /// Returns whether this release reads parts of `kind`.
    pub fn is_known(kind: &str) -> bool {
        [ITEMS, BEHAVIOR, PROPENSITY, RISK, LOOKALIKES].contains(&kind)
    }

    /// Takes over the part of `kind` from another model, so that equal parts are in memory once.
    pub fn share_part(&mut self, kind: &str, other: &Self) {
        match kind {
            ITEMS => self.items.clone_from(&other.items),
            BEHAVIOR => self.behavior.clone_from(&other.behavior),
            PROPENSITY => self.propensity.clone_from(&other.propensity),
            RISK => self.risk.clone_from(&other.risk),
            LOOKALIKES => self.lookalikes.clone_from(&other.lookalikes),
            _ => {}
        }
    }

    /// Decodes a part and stores it; an unknown kind is skipped.
    ///
    /// # Errors
    /// [`PredictorError`] if the bytes are damaged or made for another feature schema.
    pub fn decode_part(&mut self, kind: &str, bytes: &[u8]) -> Result<(), PredictorError> {
        match kind {
            ITEMS => self.items = Some(read(ITEMS, ItemRecommender::decode(bytes))?),
            BEHAVIOR => self.behavior = Some(read(BEHAVIOR, NextActionModel::decode(bytes))?),
            PROPENSITY => self.propensity = Some(scorer(PROPENSITY, bytes)?),
            RISK => self.risk = Some(scorer(RISK, bytes)?),
            LOOKALIKES => self.lookalikes = Some(read(LOOKALIKES, Lookalikes::decode(bytes))?),
            _ => {}
        }
        Ok(())
    }
}

fn read<T, E: ToString>(kind: &'static str, part: Result<T, E>) -> Result<Arc<T>, PredictorError> {
    part.map(Arc::new).map_err(|error| PredictorError { kind, problem: error.to_string() })
}

/// Decodes a scorer and checks its width against the feature schema.
fn scorer(kind: &'static str, bytes: &[u8]) -> Result<Arc<Scorer>, PredictorError> {
    let scorer = read(kind, Scorer::decode(bytes))?;
    let found = scorer.columns();
    // A scorer is bound to the components it was trained on; a row of another schema would give a number
    // without meaning.
    let known = FeatureSchema::current().components().len();
    if found == known {
        return Ok(scorer);
    }
    Err(PredictorError { kind, problem: format!("it scores {found} columns, vectors have {known}") })
}

//! What a model knows beside segments: each a part of its own, since parts are large, and told to nodes by name. In come kinds and
//! bytes, out goes what they hold, checked whole. A kind of a later release is passed over.

use crate::prediction::behavior::Behavior;
use crate::prediction::learners::Scorer;
use crate::prediction::lookalikes::Lookalikes;
use crate::prediction::recommend::Items;
use portrait_profile::{FeatureSchema, Target};
use std::sync::Arc;

/// What the parts are called.
const ITEMS: &str = "items";
const BEHAVIOR: &str = "behavior";
const PROPENSITY: &str = "propensity";
const RISK: &str = "risk";
/// The one part that names shoppers: somebody who is erased is named until no model from before is kept.
pub const LOOKALIKES: &str = "lookalikes";

/// What was learned; none of what there was nothing, or too little, to learn from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned {
    /// What is recommended.
    pub items: Option<Arc<Items>>,
    /// What is done next.
    pub behavior: Option<Arc<Behavior>>,
    /// Who buys within the week.
    pub propensity: Option<Arc<Scorer>>,
    /// Whose order turns out badly.
    pub risk: Option<Arc<Scorer>>,
    /// Who is like whom.
    pub lookalikes: Option<Arc<Lookalikes>>,
}

/// Why a part cannot be served.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the part {kind:?} cannot be read: {problem}")]
pub struct PartError {
    /// Which.
    pub kind: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl Learned {
    /// The scorer of a target.
    pub fn scorer(&self, target: Target) -> Option<&Arc<Scorer>> {
        match target {
            Target::Propensity => self.propensity.as_ref(),
            Target::Risk => self.risk.as_ref(),
        }
    }

    /// Every part there is: its kind and its bytes.
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

    /// Takes a part of a kind.
    ///
    /// # Errors
    /// If its bytes are not what was encoded, or not for this release's feature schema.
    pub fn take(&mut self, kind: &str, bytes: &[u8]) -> Result<(), PartError> {
        match kind {
            ITEMS => self.items = Some(read(ITEMS, Items::decode(bytes))?),
            BEHAVIOR => self.behavior = Some(read(BEHAVIOR, Behavior::decode(bytes))?),
            PROPENSITY => self.propensity = Some(scorer(PROPENSITY, bytes)?),
            RISK => self.risk = Some(scorer(RISK, bytes)?),
            LOOKALIKES => self.lookalikes = Some(read(LOOKALIKES, Lookalikes::decode(bytes))?),
            _ => {}
        }
        Ok(())
    }
}

fn read<T, E: ToString>(kind: &'static str, found: Result<T, E>) -> Result<Arc<T>, PartError> {
    found.map(Arc::new).map_err(|error| PartError { kind, problem: error.to_string() })
}

/// A scorer of feature vectors.
fn scorer(kind: &'static str, bytes: &[u8]) -> Result<Arc<Scorer>, PartError> {
    let scorer = read(kind, Scorer::decode(bytes))?;
    let (found, known) = (scorer.columns(), FeatureSchema::current().components().len());
    if found == known {
        return Ok(scorer);
    }
    Err(PartError { kind, problem: format!("it scores {found} numbers, vectors have {known}") })
}

//! Parameters of a scorer training.

use super::learner::LearnerKind;
use crate::error::Error;

/// Parameters of a scorer training.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Kinds of learners that compete; all by default.
    pub kinds: Vec<LearnerKind>,
    /// Share of the rows, the newest, that selects everything; within (0, 1), default 0.2.
    pub newest: f64,
    /// Probability at which precision and recall are reported; `None` for the greatest F1 on the newest rows.
    pub threshold: Option<f64>,
    /// Seed of the network's initial weights and row order.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self { kinds: LearnerKind::ALL.to_vec(), newest: 0.2, threshold: None, seed: 0 }
    }
}

impl Params {
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.kinds.is_empty() {
            return Err(Error::parameter("kinds", "are none"));
        }
        if !(self.newest > 0.0 && self.newest < 1.0) {
            return Err(Error::parameter("newest", "is not between 0 and 1"));
        }
        if self.threshold.is_none_or(|threshold| (0.0..=1.0).contains(&threshold)) {
            Ok(())
        } else {
            Err(Error::parameter("threshold", "is not a probability"))
        }
    }
}

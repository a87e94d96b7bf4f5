//! Settings of a training of scorers.

use super::learner::LearnerKind;
use crate::error::Error;

/// How a scorer is learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Which learners compete.
    pub kinds: Vec<LearnerKind>,
    /// The share of rows, the newest, that everything is chosen on; above 0 and below 1.
    pub newest: f64,
    /// Where precision and recall are reported, as a probability; none: where they are best together on the newest rows.
    pub threshold: Option<f64>,
    /// All that is random follows from it.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self { kinds: LearnerKind::ALL.to_vec(), newest: 0.2, threshold: None, seed: 0 }
    }
}

impl Params {
    pub(super) fn check(&self) -> Result<(), Error> {
        let refused =
            |parameter, problem: &str| Err(Error::Parameter { parameter, problem: problem.to_owned() });
        if self.kinds.is_empty() {
            return refused("kinds", "are none");
        }
        if !(self.newest > 0.0 && self.newest < 1.0) {
            return refused("newest", "is not between 0 and 1");
        }
        if self.threshold.is_none_or(|threshold| (0.0..=1.0).contains(&threshold)) {
            Ok(())
        } else {
            refused("threshold", "is not a probability")
        }
    }
}

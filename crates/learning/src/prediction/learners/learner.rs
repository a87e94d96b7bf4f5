//! One learner of any kind behind one type: trees, networks and logistic regressions all give log odds.

use super::logistic::LogisticRegression;
use super::network::Network;
use super::odds::probability;
use super::rows::LabelledRows;
use super::tree::Tree;
use crate::error::Error;
use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

/// A way to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LearnerKind {
    /// A decision tree.
    Tree,
    /// A small neural network.
    Network,
    /// Logistic regression.
    Logistic,
}

impl LearnerKind {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Tree, Self::Network, Self::Logistic];
}

/// What was learned, by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Learner {
    /// A decision tree.
    Tree(Tree),
    /// A small neural network.
    Network(Network),
    /// Logistic regression.
    Logistic(LogisticRegression),
}

/// Learns from rows what was learned from others before, in the same shape.
pub(super) type Refit = Box<dyn Fn(LabelledRows) -> Result<Learner, Error>>;

/// One learner at its best on the newest rows, and how to learn it from any others.
pub(super) struct ScorerCandidate {
    pub(super) learner: Learner,
    pub(super) refit: Refit,
}

impl Learner {
    /// Which it is.
    pub fn kind(&self) -> LearnerKind {
        match self {
            Self::Tree(_) => LearnerKind::Tree,
            Self::Network(_) => LearnerKind::Network,
            Self::Logistic(_) => LearnerKind::Logistic,
        }
    }

    /// The logarithm of the odds, of a row of as many finite numbers as it was learned from.
    pub(super) fn log_odds(&self, row: ArrayView1<f32>) -> f64 {
        match self {
            Self::Tree(tree) => tree.log_odds(row),
            Self::Network(network) => network.log_odds(row),
            Self::Logistic(logistic) => logistic.log_odds(row),
        }
    }

    /// Of many rows, as probabilities.
    pub(super) fn probabilities(&self, values: ArrayView2<f32>) -> Vec<f64> {
        values.outer_iter().map(|row| probability(self.log_odds(row))).collect()
    }
}

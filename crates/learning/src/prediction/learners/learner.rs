//! Common type of the three learners, each of which gives log-odds for a row.

use super::logistic::LogisticRegression;
use super::network::Network;
use super::odds::probability;
use super::rows::LabelledRows;
use super::tree::Tree;
use crate::error::Error;
use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

/// Kind of a learner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LearnerKind {
    /// Decision tree with smoothed leaves (CART).
    Tree,
    /// Neural network with two hidden layers.
    Network,
    /// Logistic regression with L2 penalty.
    Logistic,
}

impl LearnerKind {
    /// All kinds, in the order in which ties are resolved.
    pub const ALL: [Self; 3] = [Self::Tree, Self::Network, Self::Logistic];
}

/// Trained learner of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Learner {
    /// Decision tree with smoothed leaves (CART).
    Tree(Tree),
    /// Neural network with two hidden layers.
    Network(Network),
    /// Logistic regression with L2 penalty.
    Logistic(LogisticRegression),
}

/// Training on other rows with the hyperparameters that were selected.
pub(super) type Refit = Box<dyn Fn(LabelledRows) -> Result<Learner, Error>>;

/// Learner selected on the newest rows, and its refit.
pub(super) struct ScorerCandidate {
    pub(super) learner: Learner,
    pub(super) refit: Refit,
}

impl Learner {
    /// Kind of this learner.
    pub fn kind(&self) -> LearnerKind {
        match self {
            Self::Tree(_) => LearnerKind::Tree,
            Self::Network(_) => LearnerKind::Network,
            Self::Logistic(_) => LearnerKind::Logistic,
        }
    }

    /// Log-odds of a row of finite numbers, as wide as the training rows.
    pub(super) fn log_odds(&self, row: ArrayView1<f32>) -> f64 {
        match self {
            Self::Tree(tree) => tree.log_odds(row),
            Self::Network(network) => network.log_odds(row),
            Self::Logistic(logistic) => logistic.log_odds(row),
        }
    }

    /// Probabilities of `n` rows.
    pub(super) fn probabilities(&self, values: ArrayView2<f32>) -> Vec<f64> {
        values.outer_iter().map(|row| probability(self.log_odds(row))).collect()
    }
}

//! One learner of any kind behind one type: trees, networks and logistic regressions all give log odds.

use super::logistic::Logistic;
use super::network::Network;
use super::odds::probability;
use super::rows::Rows;
use super::tree::Tree;
use crate::error::Error;
use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

/// A way to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A decision tree.
    Tree,
    /// A small neural network.
    Network,
    /// Logistic regression.
    Logistic,
}

impl Kind {
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
    Logistic(Logistic),
}

/// Learns from rows what was learned from others before, in the same shape.
pub(super) type Again = Box<dyn Fn(Rows) -> Result<Learner, Error>>;

/// One learner at its best on the newest rows, and how to learn it from any others.
pub(super) struct Contender {
    pub(super) learner: Learner,
    pub(super) again: Again,
}

impl Learner {
    /// Which it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Tree(_) => Kind::Tree,
            Self::Network(_) => Kind::Network,
            Self::Logistic(_) => Kind::Logistic,
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

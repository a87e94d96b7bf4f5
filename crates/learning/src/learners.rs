//! How likely something is, of a shopper: a purchase, a return, fraud. In come rows of numbers, oldest first, and for each whether
//! it happened; out goes a scorer, which is the best of three learners on the newest rows, calibrated if that helps there, and
//! which says of every score what made it up. Rows that are not finite are refused, in learning and in scoring.
//!
//! The newest slice decides everything that is chosen: depth and leaves of the tree, when the network stops, how strongly the
//! logistic regression is held back, which of them is champion, and whether to calibrate. The champion is then learned anew from
//! all rows. The figures that are reported are those on the newest slice, before that.

mod calibration;
mod logistic;
mod network;
mod quality;
mod scorer;
mod standard;
mod tree;

pub use calibration::Calibration;
pub use logistic::Logistic;
pub use network::Network;
pub use quality::{Quality, auc, best_threshold, calibration_error, log_loss, quality};
pub use scorer::{Score, Scorer, ScorerError};
pub use tree::{Step, Tree};

use crate::error::Error;
use ndarray::{ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// How a scorer is learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Which learners compete.
    pub kinds: Vec<Kind>,
    /// The share of rows, the newest, that everything is chosen on; above 0 and below 1.
    pub newest: f64,
    /// Where precision and recall are reported, as a probability; none: where they are best together on the newest rows.
    pub threshold: Option<f64>,
    /// All that is random follows from it.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self { kinds: Kind::ALL.to_vec(), newest: 0.2, threshold: None, seed: 0 }
    }
}

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

/// Rows to learn from, checked.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: ArrayView2<'a, f32>,
    pub(crate) labels: &'a [bool],
    pub(crate) weights: &'a [f32],
}

/// Learns from `values` (a row each case, oldest first), whether it happened, and what each row weighs (1 if there are none).
///
/// # Errors
/// [`Error::Width`] if labels or weights are not as many as rows; [`Error::NotFinite`] for a value; [`Error::TooFew`] if older or
/// newest rows lack one of the two outcomes; [`Error::Parameter`] for parameters or weights that make no sense.
pub fn learn(
    values: ArrayView2<f32>,
    labels: &[bool],
    weights: Option<&[f32]>,
    params: &Params,
) -> Result<Scorer, Error> {
    let ones = vec![1.0; labels.len()];
    let rows = Rows { values: values.view(), labels, weights: weights.unwrap_or(&ones) };
    rows.check()?;
    params.check()?;
    let cut = ((1.0 - params.newest) * labels.len() as f64) as usize;
    let (older, newest) = (rows.slice(0, cut), rows.slice(cut, labels.len()));
    older.both()?;
    newest.both()?;
    let contenders = params.kinds.iter().map(|kind| contender(*kind, older, newest, params));
    scorer::champion(contenders.collect::<Result<_, _>>()?, rows, newest, params)
}

/// Learns from rows what was learned from others before, in the same shape.
type Again = Box<dyn Fn(Rows) -> Result<Learner, Error>>;

/// One learner at its best on the newest rows, and how to learn it from any others.
pub(crate) struct Contender {
    pub(crate) learner: Learner,
    pub(crate) again: Again,
}

fn contender(kind: Kind, older: Rows, newest: Rows, params: &Params) -> Result<Contender, Error> {
    let seed = params.seed;
    Ok(match kind {
        Kind::Tree => {
            let (tree, shape) = tree::tuned(older, newest);
            let again = move |rows: Rows| Ok(Learner::Tree(tree::grow(rows, shape)));
            Contender { learner: Learner::Tree(tree), again: Box::new(again) }
        }
        Kind::Network => {
            let (network, epochs) = network::until_it_gets_worse(older, newest, seed);
            let again = move |rows: Rows| Ok(Learner::Network(network::train(rows, epochs, seed)));
            Contender { learner: Learner::Network(network), again: Box::new(again) }
        }
        Kind::Logistic => {
            let (logistic, penalty) = logistic::tuned(older, newest)?;
            let again = move |rows: Rows| logistic::fit(rows, penalty).map(Learner::Logistic);
            Contender { learner: Learner::Logistic(logistic), again: Box::new(again) }
        }
    })
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
    fn log_odds(&self, row: ArrayView1<f32>) -> f64 {
        match self {
            Self::Tree(tree) => tree.log_odds(row),
            Self::Network(network) => network.log_odds(row),
            Self::Logistic(logistic) => logistic.log_odds(row),
        }
    }

    /// Of many rows, as probabilities.
    pub(crate) fn probabilities(&self, values: ArrayView2<f32>) -> Vec<f64> {
        values.outer_iter().map(|row| probability(self.log_odds(row))).collect()
    }
}

/// Of the logarithm of odds.
pub(crate) fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

impl<'a> Rows<'a> {
    pub(crate) fn slice(&self, start: usize, end: usize) -> Self {
        Self {
            values: self.values.split_at(Axis(0), end).0.split_at(Axis(0), start).1,
            labels: &self.labels[start..end],
            weights: &self.weights[start..end],
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.labels.len()
    }

    /// The weight of what happened, and of all.
    pub(crate) fn totals(&self) -> (f64, f64) {
        self.labels.iter().zip(self.weights).fold((0.0, 0.0), |(happened, all), (label, weight)| {
            (happened + if *label { f64::from(*weight) } else { 0.0 }, all + f64::from(*weight))
        })
    }

    fn check(&self) -> Result<(), Error> {
        for (what, found) in [("labels", self.labels.len()), ("weights", self.weights.len())] {
            if found != self.values.nrows() {
                return Err(Error::Width { what, found, expected: self.values.nrows() });
            }
        }
        if self.values.ncols() == 0 {
            return Err(Error::Width { what: "rows", found: 0, expected: 1 });
        }
        if let Some(((row, column), _)) = self.values.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::NotFinite { row, column });
        }
        if let Some(row) = self.weights.iter().position(|weight| !(weight.is_finite() && *weight > 0.0)) {
            let problem = format!("have one that is not above 0, row {row}");
            return Err(Error::Parameter { parameter: "weights", problem });
        }
        Ok(())
    }

    /// That both outcomes are there, a few times each.
    fn both(&self) -> Result<(), Error> {
        const NEEDED: usize = 5;
        let happened = self.labels.iter().filter(|label| **label).count();
        let rows = happened.min(self.count() - happened);
        if rows < NEEDED { Err(Error::TooFew { rows, needed: NEEDED }) } else { Ok(()) }
    }
}

impl Params {
    fn check(&self) -> Result<(), Error> {
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

//! Scorers: the probability of a purchase, a return or fraud for one user. Training takes rows of numbers, oldest first, with a label
//! each, and gives the best of three learners on the newest rows, calibrated if that helps there. Every score comes with the
//! contributions of its columns. Rows that are not finite are refused, in training and in scoring.
//!
//! The newest slice of the rows selects everything: depth and leaf size of the tree, the epoch of the network, the penalty of the
//! logistic regression, the champion, and calibration. The champion is then refitted on all rows. Reported figures are those on the
//! newest slice, before the refit.

mod calibration;
mod learner;
mod logistic;
mod network;
mod odds;
mod params;
mod rows;
mod scorer;
mod standardizer;
mod tree;

pub use calibration::Calibration;
pub use learner::{Learner, LearnerKind};
pub use logistic::LogisticRegression;
pub use network::Network;
pub use params::Params;
pub use scorer::{Score, Scorer, ScorerError};
pub use tree::{Tree, TreeStep};

use crate::error::Error;
use learner::ScorerCandidate;
use ndarray::ArrayView2;
use rows::LabelledRows;

/// Trains on `values` (`n x d`, one example per row, oldest first) with a label and a weight per row (default weight 1).
///
/// # Errors
/// [`Error::Width`] if labels or weights are not as many as rows; [`Error::NotFinite`] for a value; [`Error::TooFew`] if the older
/// or the newest rows have fewer than 5 of a label; [`Error::Parameter`] for invalid parameters or weights.
pub fn learn(
    values: ArrayView2<f32>,
    labels: &[bool],
    weights: Option<&[f32]>,
    params: &Params,
) -> Result<Scorer, Error> {
    let ones = vec![1.0; labels.len()];
    let rows = LabelledRows { values: values.view(), labels, weights: weights.unwrap_or(&ones) };
    rows.check()?;
    params.check()?;
    // Split by time, not at random: a scorer is used on users later than those of its training.
    let cut = ((1.0 - params.newest) * labels.len() as f64) as usize;
    let older = rows.slice(0, cut);
    let newest = rows.slice(cut, labels.len());
    older.check_both_labels()?;
    newest.check_both_labels()?;
    let candidates = params.kinds.iter().map(|kind| candidate(*kind, older, newest, params));
    scorer::champion(candidates.collect::<Result<_, _>>()?, rows, newest, params)
}

fn candidate(
    kind: LearnerKind,
    older: LabelledRows,
    newest: LabelledRows,
    params: &Params,
) -> Result<ScorerCandidate, Error> {
    let seed = params.seed;
    Ok(match kind {
        LearnerKind::Tree => {
            let (tree, shape) = tree::tuned(older, newest);
            ScorerCandidate {
                learner: Learner::Tree(tree),
                refit: Box::new(move |rows| Ok(Learner::Tree(tree::grow(rows, shape)))),
            }
        }
        LearnerKind::Network => {
            let (network, epochs) = network::train_with_early_stopping(older, newest, seed);
            ScorerCandidate {
                learner: Learner::Network(network),
                refit: Box::new(move |rows| Ok(Learner::Network(network::train(rows, epochs, seed)))),
            }
        }
        LearnerKind::Logistic => {
            let (logistic, penalty) = logistic::tuned(older, newest)?;
            ScorerCandidate {
                learner: Learner::Logistic(logistic),
                refit: Box::new(move |rows| logistic::fit(rows, penalty).map(Learner::Logistic)),
            }
        }
    })
}

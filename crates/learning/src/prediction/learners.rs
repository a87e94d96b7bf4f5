//! How likely something is, of a shopper: a purchase, a return, fraud. In come rows of numbers, oldest first, and for each whether
//! it happened; out goes a scorer, which is the best of three learners on the newest rows, calibrated if that helps there, and
//! which says of every score what made it up. Rows that are not finite are refused, in learning and in scoring.
//!
//! The newest slice decides everything that is chosen: depth and leaves of the tree, when the network stops, how strongly the
//! logistic regression is held back, which of them is champion, and whether to calibrate. The champion is then learned anew from
//! all rows. The figures that are reported are those on the newest slice, before that.

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
    let rows = LabelledRows { values: values.view(), labels, weights: weights.unwrap_or(&ones) };
    rows.check()?;
    params.check()?;
    let cut = ((1.0 - params.newest) * labels.len() as f64) as usize;
    let (older, newest) = (rows.slice(0, cut), rows.slice(cut, labels.len()));
    older.both()?;
    newest.both()?;
    let contenders = params.kinds.iter().map(|kind| contender(*kind, older, newest, params));
    scorer::champion(contenders.collect::<Result<_, _>>()?, rows, newest, params)
}

fn contender(
    kind: LearnerKind,
    older: LabelledRows,
    newest: LabelledRows,
    params: &Params,
) -> Result<ScorerCandidate, Error> {
    let seed = params.seed;
    Ok(match kind {
        LearnerKind::Tree => {
            let (tree, shape) = tree::tuned(older, newest);
            let again = move |rows: LabelledRows| Ok(Learner::Tree(tree::grow(rows, shape)));
            ScorerCandidate { learner: Learner::Tree(tree), refit: Box::new(again) }
        }
        LearnerKind::Network => {
            let (network, epochs) = network::train_with_early_stopping(older, newest, seed);
            let again = move |rows: LabelledRows| Ok(Learner::Network(network::train(rows, epochs, seed)));
            ScorerCandidate { learner: Learner::Network(network), refit: Box::new(again) }
        }
        LearnerKind::Logistic => {
            let (logistic, penalty) = logistic::tuned(older, newest)?;
            let again = move |rows: LabelledRows| logistic::fit(rows, penalty).map(Learner::Logistic);
            ScorerCandidate { learner: Learner::Logistic(logistic), refit: Box::new(again) }
        }
    })
}

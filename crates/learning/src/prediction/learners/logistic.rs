//! Logistic regression. In come rows; out goes a weight for each standardised column. Newton's method on the penalised likelihood
//! (Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2nd edition, section 4.4.1), halving steps that lose.

use super::odds::probability;
use super::rows::LabelledRows;
use super::standardizer::Standardizer;
use crate::error::Error;
use crate::evaluation::log_loss;
use linfa_linalg::cholesky::SolveCInplace;
use ndarray::{Array1, Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};

/// Penalties that are tried: the weight of half the squared length of the weights, the likelihood being a sum over rows.
const PENALTIES: [f64; 4] = [1.0, 10.0, 100.0, 1_000.0];
const STEPS_MAX: usize = 50;
const HALVINGS_MAX: usize = 30;
/// A step that gains less, as a share of the loss, is the last.
const TOLERANCE: f64 = 1e-10;

/// Weights of standardised columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogisticRegression {
    standard: Standardizer,
    /// By column; the last is what all rows begin with.
    weights: Vec<f64>,
}

/// The one that is best on the newest rows, learned from the older, and its penalty.
pub(super) fn tuned(older: LabelledRows, newest: LabelledRows) -> Result<(LogisticRegression, f64), Error> {
    let tried = PENALTIES.into_iter().map(|penalty| {
        let found = fit(older, penalty)?;
        let shares: Vec<f64> =
            newest.values.outer_iter().map(|row| probability(found.log_odds(row))).collect();
        Ok((log_loss(newest.labels, &shares), found, penalty))
    });
    let tried: Vec<(f64, LogisticRegression, f64)> = tried.collect::<Result<_, Error>>()?;
    let best = tried.into_iter().min_by(|one, other| one.0.total_cmp(&other.0));
    best.map(|(_, found, penalty)| (found, penalty)).ok_or(Error::TooFew { rows: 0, needed: 1 })
}

pub(super) fn fit(rows: LabelledRows, penalty: f64) -> Result<LogisticRegression, Error> {
    let standard = Standardizer::fit(rows);
    let mut values = standard.rows(rows.values);
    values.push_column(Array1::ones(rows.count()).view()).map_err(|error| refused(&error.to_string()))?;
    let labels: Array1<f64> = rows.labels.iter().map(|label| f64::from(u8::from(*label))).collect();
    let of_row: Array1<f64> = rows.weights.iter().map(|weight| f64::from(*weight)).collect();
    let mut penalties = Array1::from_elem(values.ncols(), penalty);
    penalties[values.ncols() - 1] = 1e-9;
    let problem = LogisticProblem { values, labels, of_row, penalties };
    let mut weights = Array1::zeros(problem.values.ncols());
    let mut loss = problem.loss(&weights);
    for _ in 0..STEPS_MAX {
        let step = problem.step(&weights)?;
        let mut share = 1.0;
        let mut better = None;
        for _ in 0..HALVINGS_MAX {
            let tried = &weights - &(&step * share);
            let lower = problem.loss(&tried);
            if lower <= loss {
                better = Some((tried, lower));
                break;
            }
            share /= 2.0;
        }
        let Some((tried, lower)) = better else { break };
        let gained = loss - lower;
        (weights, loss) = (tried, lower);
        if gained <= TOLERANCE * loss {
            break;
        }
    }
    Ok(LogisticRegression { standard, weights: weights.to_vec() })
}

struct LogisticProblem {
    /// Standardised, with a last column of ones.
    values: Array2<f64>,
    labels: Array1<f64>,
    of_row: Array1<f64>,
    penalties: Array1<f64>,
}

impl LogisticProblem {
    fn loss(&self, weights: &Array1<f64>) -> f64 {
        // ln(1 + e^x) - y x, without overflow.
        let of_row = |log_odds: f64, label: f64| {
            log_odds.max(0.0) + (-log_odds.abs()).exp().ln_1p() - label * log_odds
        };
        let log_odds = self.values.dot(weights);
        let rows = log_odds.iter().zip(&self.labels).zip(&self.of_row);
        let likelihood: f64 =
            rows.map(|((log_odds, label), weight)| weight * of_row(*log_odds, *label)).sum();
        likelihood + 0.5 * (&self.penalties * weights).dot(weights)
    }

    /// Newton's step, to be taken off.
    fn step(&self, weights: &Array1<f64>) -> Result<Array1<f64>, Error> {
        let shares = self.values.dot(weights).mapv(probability);
        let gradient =
            self.values.t().dot(&((&shares - &self.labels) * &self.of_row)) + &self.penalties * weights;
        let curvature = &shares * &shares.mapv(|share| 1.0 - share) * &self.of_row;
        let weighted = &self.values * &curvature.insert_axis(Axis(1));
        let mut second = self.values.t().dot(&weighted);
        second.diag_mut().zip_mut_with(&self.penalties, |value, penalty| *value += penalty);
        // Where all probabilities are 0 or 1 nothing else holds the last weight.
        second.diag_mut().mapv_inplace(|value| value.max(1e-9));
        let step =
            second.solvec_into(gradient.insert_axis(Axis(1))).map_err(|error| refused(&error.to_string()))?;
        Ok(step.remove_axis(Axis(1)))
    }
}

fn refused(problem: &str) -> Error {
    Error::Parameter { parameter: "rows", problem: format!("could not be solved for: {problem}") }
}

impl LogisticRegression {
    pub(super) fn log_odds(&self, row: ArrayView1<f32>) -> f64 {
        self.base() + self.contributions(row).iter().sum::<f64>()
    }

    /// Of a row that is the mean of all.
    pub(super) fn base(&self) -> f64 {
        self.weights.last().copied().unwrap_or_default()
    }

    /// By column, weight times the distance from the mean.
    pub(super) fn contributions(&self, row: ArrayView1<f32>) -> Vec<f64> {
        self.standard.row(row).iter().zip(&self.weights).map(|(value, weight)| value * weight).collect()
    }

    /// Whether it is one of `columns` columns; what was read from outside may not be.
    pub(super) fn is_sound(&self, columns: usize) -> bool {
        let finite = self.weights.iter().all(|weight| weight.abs() < 1e9);
        self.standard.is_sound(columns) && self.weights.len() == columns + 1 && finite
    }
}

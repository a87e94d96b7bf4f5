//! Logistic regression with an L2 penalty, on standardised columns, by Newton's method with step halving (Hastie, Tibshirani and
//! Friedman, "The Elements of Statistical Learning", 2nd edition, section 4.4.1).

use super::odds::probability;
use super::rows::LabelledRows;
use super::standardizer::Standardizer;
use crate::error::Error;
use crate::evaluation::log_loss;
use linfa_linalg::cholesky::SolveCInplace;
use ndarray::{Array1, Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};

/// Candidate penalties: the weight of half the squared length of the coefficients; the likelihood is a sum over rows.
const PENALTIES: [f64; 4] = [1.0, 10.0, 100.0, 1_000.0];
/// Newton steps per fit.
const STEPS_MAX: usize = 50;
const HALVINGS_MAX: usize = 30;
/// Relative gain below which the search ends.
const TOLERANCE: f64 = 1e-10;

/// Coefficients of standardised columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogisticRegression {
    standardizer: Standardizer,
    /// Coefficients by column; the last is the intercept.
    weights: Vec<f64>,
}

/// Fits every penalty on the older rows and returns the model with the least log-loss on the newest, with its penalty.
pub(super) fn tuned(older: LabelledRows, newest: LabelledRows) -> Result<(LogisticRegression, f64), Error> {
    let mut best: Option<(f64, LogisticRegression, f64)> = None;
    for penalty in PENALTIES {
        let model = fit(older, penalty)?;
        let shares: Vec<f64> =
            newest.values.outer_iter().map(|row| probability(model.log_odds(row))).collect();
        let loss = log_loss(newest.labels, &shares);
        if best.as_ref().is_none_or(|(least, ..)| loss.total_cmp(least).is_lt()) {
            best = Some((loss, model, penalty));
        }
    }
    best.map(|(_, model, penalty)| (model, penalty)).ok_or(Error::TooFew { rows: 0, needed: 1 })
}

/// Fits coefficients with one penalty.
pub(super) fn fit(rows: LabelledRows, penalty: f64) -> Result<LogisticRegression, Error> {
    let standardizer = Standardizer::fit(rows);
    let mut values = standardizer.rows(rows.values);
    values.push_column(Array1::ones(rows.count()).view()).map_err(|error| unsolvable(&error.to_string()))?;
    let labels: Array1<f64> = rows.labels.iter().map(|label| f64::from(u8::from(*label))).collect();
    let row_weights: Array1<f64> = rows.weights.iter().map(|weight| f64::from(*weight)).collect();
    let mut penalties = Array1::from_elem(values.ncols(), penalty);
    // The intercept is not penalised; the tiny value keeps the system regular.
    penalties[values.ncols() - 1] = 1e-9;
    let problem = LogisticProblem { values, labels, row_weights, penalties };
    let mut weights = Array1::zeros(problem.values.ncols());
    let mut loss = problem.loss(&weights);
    for _ in 0..STEPS_MAX {
        let step = problem.step(&weights)?;
        // A full step may overshoot where probabilities are near 0 or 1.
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
        weights = tried;
        loss = lower;
        if gained <= TOLERANCE * loss {
            break;
        }
    }
    Ok(LogisticRegression { standardizer, weights: weights.to_vec() })
}

struct LogisticProblem {
    /// Standardised columns and a last column of ones, `n x (d + 1)`.
    values: Array2<f64>,
    labels: Array1<f64>,
    row_weights: Array1<f64>,
    penalties: Array1<f64>,
}

impl LogisticProblem {
    /// Penalised negative log-likelihood.
    fn loss(&self, weights: &Array1<f64>) -> f64 {
        let log_odds = self.values.dot(weights);
        let mut likelihood = 0.0;
        for ((log_odds, label), weight) in log_odds.iter().zip(&self.labels).zip(&self.row_weights) {
            // ln(1 + e^x) - y x, written so that e^x cannot overflow.
            likelihood += weight * (log_odds.max(0.0) + (-log_odds.abs()).exp().ln_1p() - label * log_odds);
        }
        likelihood + 0.5 * (&self.penalties * weights).dot(weights)
    }

    /// Newton step, to be subtracted from the coefficients.
    fn step(&self, weights: &Array1<f64>) -> Result<Array1<f64>, Error> {
        let shares = self.values.dot(weights).mapv(probability);
        let gradient =
            self.values.t().dot(&((&shares - &self.labels) * &self.row_weights)) + &self.penalties * weights;
        let curvature = &shares * &shares.mapv(|share| 1.0 - share) * &self.row_weights;
        let weighted = &self.values * &curvature.insert_axis(Axis(1));
        let mut second = self.values.t().dot(&weighted);
        second.diag_mut().zip_mut_with(&self.penalties, |value, penalty| *value += penalty);
        // With all probabilities at 0 or 1 the curvature of the intercept would be 0.
        second.diag_mut().mapv_inplace(|value| value.max(1e-9));
        let step = second
            .solvec_into(gradient.insert_axis(Axis(1)))
            .map_err(|error| unsolvable(&error.to_string()))?;
        Ok(step.remove_axis(Axis(1)))
    }
}

fn unsolvable(problem: &str) -> Error {
    Error::parameter("rows", format!("could not be solved for: {problem}"))
}

impl LogisticRegression {
    pub(super) fn log_odds(&self, row: ArrayView1<f32>) -> f64 {
        self.base() + self.contributions(row).iter().sum::<f64>()
    }

    /// Log-odds of the mean row: the intercept.
    pub(super) fn base(&self) -> f64 {
        self.weights.last().copied().unwrap_or_default()
    }

    /// Contributions by column: coefficient times distance from the mean.
    pub(super) fn contributions(&self, row: ArrayView1<f32>) -> Vec<f64> {
        self.standardizer.row(row).iter().zip(&self.weights).map(|(value, weight)| value * weight).collect()
    }

    /// Checks the width and the range of all numbers, which decoded bytes do not guarantee.
    pub(super) fn is_sound(&self, columns: usize) -> bool {
        let finite = self.weights.iter().all(|weight| weight.abs() < 1e9);
        self.standardizer.is_sound(columns) && self.weights.len() == columns + 1 && finite
    }
}

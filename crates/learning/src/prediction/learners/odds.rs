//! Log odds as probabilities.

/// Probability of `log_odds`: the logistic function.
pub(super) fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

//! Conversion of log-odds to probabilities.

/// Probability of `log_odds` (logistic function).
pub(super) fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

//! Platt scaling: a line from raw log-odds to calibrated log-odds (Platt, "Probabilistic Outputs for Support Vector Machines", 1999,
//! section 2.2, with its regularised targets). A line keeps contributions to a score additive; isotonic regression would not.

use super::odds::probability;
use serde::{Deserialize, Serialize};

/// Newton steps; the convex loss converges in about ten.
const STEPS_MAX: usize = 100;
const TOLERANCE: f64 = 1e-12;

/// Calibrated log-odds: `slope * log_odds + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Factor of the log-odds, above 0, so that the order of scores is kept.
    pub slope: f64,
    /// Addition to the scaled log-odds.
    pub offset: f64,
}

impl Calibration {
    /// Identity, for scores that need no calibration.
    pub const NONE: Self = Self { slope: 1.0, offset: 0.0 };

    /// Fits a line to log-odds and labels; `None` if the line does not rise or the fit diverges.
    pub(super) fn fit(log_odds: &[f64], labels: &[bool]) -> Option<Self> {
        let positives = labels.iter().filter(|label| **label).count() as f64;
        // Platt's targets, not 0 and 1, keep the slope finite for scores that separate the labels.
        let target_high = (positives + 1.0) / (positives + 2.0);
        let target_low = 1.0 / (labels.len() as f64 - positives + 2.0);
        let mut line = Self::NONE;
        for _ in 0..STEPS_MAX {
            let mut gradient = LineGradient::default();
            let mut hessian = LineHessian::default();
            for (score, label) in log_odds.iter().zip(labels) {
                let share = probability(line.of(*score));
                let error = share - if *label { target_high } else { target_low };
                let curvature = share * (1.0 - share);
                gradient.slope += error * score;
                gradient.offset += error;
                hessian.slope += curvature * score * score;
                hessian.mixed += curvature * score;
                hessian.offset += curvature;
            }
            // Cramer's rule: the matrix is 2 x 2.
            let determinant = hessian.slope * hessian.offset - hessian.mixed * hessian.mixed;
            let slope = (hessian.offset * gradient.slope - hessian.mixed * gradient.offset) / determinant;
            let offset = (hessian.slope * gradient.offset - hessian.mixed * gradient.slope) / determinant;
            // Where the loss is flat a full Newton step would overshoot.
            let share = (1.0 / slope.abs().max(offset.abs())).min(1.0);
            line = Self { slope: line.slope - share * slope, offset: line.offset - share * offset };
            if slope.abs().max(offset.abs()) < TOLERANCE {
                break;
            }
        }
        line.is_sound().then_some(line)
    }

    pub(super) fn of(self, log_odds: f64) -> f64 {
        self.slope * log_odds + self.offset
    }

    pub(super) fn is_sound(self) -> bool {
        self.slope > 0.0 && self.slope < 1e3 && self.offset.abs() < 1e3
    }
}

/// First derivatives of the loss.
#[derive(Default)]
struct LineGradient {
    slope: f64,
    offset: f64,
}

/// Second derivatives of the loss.
struct LineHessian {
    slope: f64,
    mixed: f64,
    offset: f64,
}

impl Default for LineHessian {
    /// A tiny diagonal, so that the matrix can be inverted when all probabilities are 0 or 1.
    fn default() -> Self {
        Self { slope: 1e-9, mixed: 0.0, offset: 1e-9 }
    }
}

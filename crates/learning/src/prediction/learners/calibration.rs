//! Logarithms of odds brought onto a line that fits what came about. In come scores and outcomes; out go a slope and an offset.
//!
//! Platt, "Probabilistic Outputs for Support Vector Machines", 1999, with its targets that are not quite 0 and 1. It
//! is a line, so that contributions to a score still add up; isotonic regression would not leave them that.

use super::odds::probability;
use serde::{Deserialize, Serialize};

const STEPS_MAX: usize = 100;
const TOLERANCE: f64 = 1e-12;

/// `slope * log_odds + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Above 0: what is more likely stays so.
    pub slope: f64,
    /// Of the logarithm of the odds.
    pub offset: f64,
}

impl Calibration {
    /// What leaves scores as they are.
    pub const NONE: Self = Self { slope: 1.0, offset: 0.0 };

    /// Of logarithms of odds and what came about; none if the line does not rise, or nothing fits.
    pub(super) fn fit(log_odds: &[f64], labels: &[bool]) -> Option<Self> {
        let happened = labels.iter().filter(|label| **label).count() as f64;
        let (high, low) = ((happened + 1.0) / (happened + 2.0), 1.0 / (labels.len() as f64 - happened + 2.0));
        let target = |label: &bool| if *label { high } else { low };
        let mut line = Self::NONE;
        // Newton's method in two dimensions; the loss is convex, and steps are held back where it is flat.
        for _ in 0..STEPS_MAX {
            let (mut gradient, mut second) = ((0.0, 0.0), (1e-9, 0.0, 1e-9));
            for (score, label) in log_odds.iter().zip(labels) {
                let share = probability(line.of(*score));
                let (error, curvature) = (share - target(label), share * (1.0 - share));
                gradient = (gradient.0 + error * score, gradient.1 + error);
                second = (
                    second.0 + curvature * score * score,
                    second.1 + curvature * score,
                    second.2 + curvature,
                );
            }
            let determinant = second.0 * second.2 - second.1 * second.1;
            let slope = (second.2 * gradient.0 - second.1 * gradient.1) / determinant;
            let offset = (second.0 * gradient.1 - second.1 * gradient.0) / determinant;
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

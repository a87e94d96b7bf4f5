//! Parameters of a training of factors, with their defaults and checks.

use crate::error::Error;
use serde::{Deserialize, Serialize};

/// Largest width of a vector: the cost of solving a row grows with the cube of the width.
pub const WIDTH_MAX: usize = 512;

/// Parameters of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Width `d` of the vectors, 1 to [`WIDTH_MAX`].
    pub width: usize,
    /// Number of times that both sides are solved.
    pub epochs: usize,
    /// Weight `alpha0` of an unobserved pair, above 0.
    pub unobserved: f32,
    /// Weight `lambda` of the regularisation, above 0.
    pub regularisation: f32,
    /// Exponent `nu`, 0 to 1, of the number of entries in a row's regularisation: at 0 all rows are regularised equally.
    pub frequency: f32,
    /// Weight `c` of an observed pair.
    pub confidence: Confidence,
    /// Seed of the initial vectors.
    pub seed: u64,
}

impl Default for Params {
    /// Values near the optimum on both a year of groceries and a music log (`scripts/bench_als`).
    fn default() -> Self {
        Self {
            width: 64,
            epochs: 15,
            unobserved: 0.1,
            regularisation: 0.01,
            frequency: 1.0,
            confidence: Confidence::One,
            seed: 0,
        }
    }
}

/// Confidence of an interaction with weight `w`, above 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Confidence {
    /// Constant 1: only the existence of an interaction counts.
    One,
    /// Linear: `slope * w` (Hu et al., equation 3, without its 1).
    Linear {
        /// Confidence per unit of weight, above 0.
        slope: f32,
    },
    /// Logarithmic: `slope * ln(1 + w / scale)` (Hu et al., equation 6, without its 1).
    Log {
        /// Factor of the logarithm, above 0.
        slope: f32,
        /// Unit of the weights, above 0.
        scale: f32,
    },
}

impl Confidence {
    /// Confidence of an interaction with the given weight.
    pub(super) fn of(self, weight: f32) -> f32 {
        match self {
            Self::One => 1.0,
            Self::Linear { slope } => slope * weight,
            Self::Log { slope, scale } => slope * (weight / scale).ln_1p(),
        }
    }
}

impl Params {
    pub(super) fn check(&self) -> Result<(), Error> {
        if !(1..=WIDTH_MAX).contains(&self.width) {
            return Err(Error::parameter("width", "is not within 1 to 512"));
        }
        if self.epochs == 0 {
            return Err(Error::parameter("epochs", "is 0"));
        }
        if !is_positive(self.unobserved) {
            return Err(Error::parameter("unobserved", "is not a number above 0"));
        }
        if !is_positive(self.regularisation) {
            return Err(Error::parameter("regularisation", "is not a number above 0"));
        }
        if !(0.0..=1.0).contains(&self.frequency) {
            return Err(Error::parameter("frequency", "is not within 0 to 1"));
        }
        let is_valid = match self.confidence {
            Confidence::One => true,
            Confidence::Linear { slope } => is_positive(slope),
            Confidence::Log { slope, scale } => is_positive(slope) && is_positive(scale),
        };
        if is_valid { Ok(()) } else { Err(Error::parameter("confidence", "has a part that is not above 0")) }
    }

    /// Ridge on the diagonal of a row with `observed` of `others` entries: `lambda (observed + alpha0 others)^nu`.
    pub(super) fn ridge(&self, observed: usize, others: usize) -> f32 {
        let weight = observed as f64 + f64::from(self.unobserved) * others as f64;
        (f64::from(self.regularisation) * weight.powf(f64::from(self.frequency))) as f32
    }
}

fn is_positive(value: f32) -> bool {
    value.is_finite() && value > 0.0
}

//! What shoppers prefer, as vectors: in come the items that each shopper took up and how strongly; out go a vector for each item
//! and, at any later moment, the vector of a shopper from the items alone. The product of the two says how much an item is wanted.
//!
//! Implicit alternating least squares: Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM
//! 2008, section 4, in the parametrisation of Rendle, Krichene, Zhang and Koren, "Revisiting the Performance of iALS on Item
//! Recommendation Benchmarks", RecSys 2022. With `c` the confidence of what was observed (set `S`), the least is sought of
//!
//! ```text
//!   sum over (u, i) in S of  c_ui (x_u . y_i - 1)^2   +   alpha0  sum over all u, i of  (x_u . y_i)^2
//!     +  lambda ( sum over u of (|S_u| + alpha0 items)^nu |x_u|^2  +  sum over i of (|S_i| + alpha0 users)^nu |y_i|^2 )
//! ```
//!
//! Each row is solved exactly, never by a few steps towards the solution: what is folded in later is what a training would
//! find. Nothing here knows of shoppers or shops; rows and columns are numbers.

mod basis;
mod coarse;
mod folding;
mod interactions;
mod solving;
mod tile;
mod training;

pub use folding::{Audience, FactorError, Factors};
pub use interactions::Interactions;
pub use training::{Trained, train, train_from};

use crate::error::Error;
use serde::{Deserialize, Serialize};

/// The widest vectors: beyond it a row costs more than any shop needs.
pub const WIDTH_MAX: usize = 512;

/// How vectors are learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Numbers in a vector, 1 to [`WIDTH_MAX`].
    pub width: usize,
    /// How often both sides are solved.
    pub epochs: usize,
    /// `alpha0`, above 0: what a pair weighs that was not observed.
    pub unobserved: f32,
    /// `lambda`, above 0: what long vectors cost.
    pub regularisation: f32,
    /// `nu`, 0 to 1: at 0 all vectors cost the same, at 1 as much as they are observed.
    pub frequency: f32,
    /// `c`: what a pair weighs that was observed.
    pub confidence: Confidence,
    /// All that is random follows from it.
    pub seed: u64,
}

impl Default for Params {
    /// What is about best on a year of groceries and on listening to music alike.
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

/// How sure one is of an interaction of weight `w`, which is above 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Confidence {
    /// 1, whatever the weight: that it happened is all that counts.
    One,
    /// `slope * w` (Hu et al., equation 3, without its 1).
    Linear {
        /// Above 0.
        slope: f32,
    },
    /// `slope * ln(1 + w / scale)` (Hu et al., equation 6, without its 1).
    Log {
        /// Above 0.
        slope: f32,
        /// In the unit of the weights, above 0.
        scale: f32,
    },
}

impl Confidence {
    /// Of an interaction of this weight.
    fn of(self, weight: f32) -> f32 {
        match self {
            Self::One => 1.0,
            Self::Linear { slope } => slope * weight,
            Self::Log { slope, scale } => slope * (weight / scale).ln_1p(),
        }
    }
}

impl Params {
    /// That something can be learned with them.
    fn check(&self) -> Result<(), Error> {
        let refused =
            |parameter, problem: &str| Err(Error::Parameter { parameter, problem: problem.to_owned() });
        let positive = |value: f32| value.is_finite() && value > 0.0;
        if !(1..=WIDTH_MAX).contains(&self.width) {
            return refused("width", "is not within 1 to 512");
        }
        if self.epochs == 0 {
            return refused("epochs", "is 0");
        }
        if !positive(self.unobserved) {
            return refused("unobserved", "is not a number above 0");
        }
        if !positive(self.regularisation) {
            return refused("regularisation", "is not a number above 0");
        }
        if !(0.0..=1.0).contains(&self.frequency) {
            return refused("frequency", "is not within 0 to 1");
        }
        let (slope, scale) = match self.confidence {
            Confidence::One => (1.0, 1.0),
            Confidence::Linear { slope } => (slope, 1.0),
            Confidence::Log { slope, scale } => (slope, scale),
        };
        if positive(slope) && positive(scale) {
            Ok(())
        } else {
            refused("confidence", "has a part that is not above 0")
        }
    }

    /// What is added to the diagonal of a row with `observed` of `others` entries.
    fn ridge(&self, observed: usize, others: usize) -> f32 {
        let weight = observed as f64 + f64::from(self.unobserved) * others as f64;
        (f64::from(self.regularisation) * weight.powf(f64::from(self.frequency))) as f32
    }
}

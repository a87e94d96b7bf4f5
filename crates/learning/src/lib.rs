//! Mathematics of Portrait: feature vectors in, models out.
//!
//! Inputs are raw feature vectors (`n x d`, one row per user) and the meaning of their components; outputs are a scaler, centroids,
//! segments with stable identities and names, predictors, and drift statistics. This crate does no I/O, reads no clock, and draws
//! random numbers only from seeds that the caller passes.
//!
//! [`segmentation`] finds segments, [`prediction`] predicts the behaviour of one user, [`drift`] compares training time with today,
//! [`evaluation`] measures quality. A [`Model`] is the published result: the segments and the predictors.

pub mod drift;
mod error;
pub mod evaluation;
mod model;
pub mod prediction;
mod probe;
mod rng;
pub mod segmentation;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::Error;
pub use model::{
    Explanation, Model, ModelError, Retired, Segment, SegmentAssignment, ServedModel, TypicalCategory,
};

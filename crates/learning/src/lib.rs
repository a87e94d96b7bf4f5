//! The mathematics of Portrait: vectors in, model out.
//!
//! In come raw feature vectors, one row a shopper, and what the components mean; out go a scaler, centroids, segments with
//! stable identities and names, and whether the world has changed. Nothing here does I/O, asks the time, or draws random
//! numbers that were not seeded by the caller.
//!
//! [`segmentation`] finds segments, [`prediction`] foresees what one shopper does, [`drift`] compares then and now, [`evaluation`]
//! measures all of it. A [`Model`] is what is published: the segments, and the predictors beside them.

mod draws;
pub mod drift;
mod error;
pub mod evaluation;
mod model;
pub mod prediction;
pub mod segmentation;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::Error;
pub use model::{Assigned, Explanation, Model, ModelError, Retired, Segment, ServedModel, TypicalCategory};

//! The mathematics of Portrait: vectors in, model out.
//!
//! In come raw feature vectors, one row a shopper, and what the components mean; out go a scaler, centroids, segments with
//! stable identities and names, and whether the world has changed. Nothing here does I/O, asks the time, or draws random
//! numbers that were not seeded by the caller.

pub mod behavior;
mod choice;
mod drift;
mod error;
pub mod factors;
mod identity;
mod kmeans;
mod learned;
pub mod learners;
mod lookalikes;
pub mod markov;
mod model;
mod naming;
pub mod recommend;
mod scaler;
pub mod social;
mod space;
#[cfg(feature = "testing")]
pub mod testing;

pub use choice::{Candidate, Choice, ChoiceParams, adjusted_rand_index, choose_k, simplified_silhouette};
pub use drift::{
    Adwin, Baseline, FeatureDrift, Lately, Mix, PSI_ALARM, PSI_ROWS_MIN, Reference, Seen, ShareMoved,
};
pub use error::Error;
pub use identity::{HYSTERESIS, Matched, Matching, Origin, hungarian, match_members, settled, switches};
pub use kmeans::{Fit, Nearest, Params, assign, fit, fit_warm, lloyd, means, nearest};
pub use learned::{LOOKALIKES, Learned, PartError};
pub use lookalikes::{Lookalikes, LookalikesError};
pub use model::{Assigned, Explanation, Model, ModelError, Retired, Segment, ServedModel, TypicalCategory};
pub use naming::{Defining, Portrayed, portray};
pub use scaler::{Scaler, Shape, Z_MAX, shapes};
pub use space::Space;

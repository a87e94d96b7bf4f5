//! Segments of shoppers: from raw feature vectors to centroids with stable ids and names. The steps in their order: a scaler brings
//! components to one scale, the space weighs them, K-Means finds centroids, the number of them is chosen by stability, clusters are
//! matched to the segments of the model before, and each is named.

pub(crate) mod choice;
pub(crate) mod identity;
pub(crate) mod kmeans;
pub(crate) mod naming;
pub(crate) mod scaler;
pub(crate) mod space;

pub use choice::{Candidate, Choice, ChoiceParams, choose_k, simplified_silhouette};
pub use identity::{HYSTERESIS, Matched, Matching, Origin, hungarian, match_members, settled, switches};
pub use kmeans::{Fit, Nearest, Params, assign, fit, fit_warm, lloyd, means, nearest};
pub use naming::{Defining, Portrayed, portray};
pub use scaler::{Scaler, Shape, Z_MAX, shapes};
pub use space::Space;

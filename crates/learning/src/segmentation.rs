//! Segments of shoppers: from raw feature vectors to centroids with stable ids and names. The steps in their order: a scaler brings
//! components to one scale, the space weighs them, K-Means finds centroids, the number of them is chosen by stability, clusters are
//! matched to the segments of the model before, and each is named.

pub(crate) mod identity;
pub(crate) mod k_selection;
pub(crate) mod kmeans;
pub(crate) mod naming;
pub(crate) mod scaler;
pub(crate) mod space;

pub use identity::{
    HYSTERESIS, MatchedSegment, Origin, SegmentMatching, assign_with_hysteresis, hungarian, match_segments,
    switches,
};
pub use k_selection::{KCandidate, KSelection, KSelectionParams, select_k, simplified_silhouette};
pub use kmeans::{KMeansFit, NearestCentroid, Params, assign, fit, fit_warm, lloyd, means, nearest};
pub use naming::{Defining, SegmentDescription, describe_segments};
pub use scaler::{Scaler, Transform, Z_MAX, transforms};
pub use space::Space;

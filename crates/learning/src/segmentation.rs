//! Segmentation: raw feature vectors in, centroids with stable ids and names out. Steps in order: a scaler brings components to one
//! scale, the space weighs facets, K-Means finds centroids, their number is selected by silhouette and stability, clusters are matched
//! to the segments of the previous model, and segments are described in words.

mod distinct;
pub(crate) mod identity;
pub(crate) mod k_selection;
pub(crate) mod kmeans;
pub(crate) mod naming;
pub(crate) mod scaler;
pub(crate) mod space;

pub use distinct::distinct_rows;
pub use identity::{
    HYSTERESIS, MatchedSegment, Origin, SegmentMatching, assign_with_hysteresis, hungarian, match_segments,
    switches,
};
pub use k_selection::{KCandidate, KSelection, KSelectionParams, select_k, simplified_silhouette};
pub use kmeans::{KMeansFit, NearestCentroid, Params, assign, fit, fit_warm, lloyd, means, nearest};
pub use naming::{Defining, SegmentDescription, describe_segments, is_numbered};
pub use scaler::{Scaler, Transform, Z_MAX, transforms};
pub use space::Space;

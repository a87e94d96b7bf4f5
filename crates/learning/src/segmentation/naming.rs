//! Names and descriptions of segments for marketers, from centroids in z-scores and the meaning of their components. Components are
//! looked up by name: a schema without one only lacks its words. Only means are read, no user's data.

mod describe;
mod scores;
mod unique;
mod words;

use ndarray::ArrayView2;
use portrait_profile::FeatureComponent;
use scores::CentroidScores;
pub use scores::Defining;
use serde::{Deserialize, Serialize};

/// Name and description of a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentDescription {
    /// Name in lower case, at most 48 characters, like "frequent night buyers".
    pub name: String,
    /// Description of at most 240 characters.
    pub description: String,
    /// Components that differ most from the mean, strongest first: at most 6, each by at least 0.3 deviations. Of one measure over several
    /// windows only the strongest.
    pub defining: Vec<Defining>,
}

/// Describes the segments of `centroids` (`k x d`, in z-scores relative to all users), with a column per component. No two segments get
/// the same name, and none a name of `taken`; segments with larger `shares` choose first. The same input gives the same names. NaN
/// counts as 0, and so does a missing share.
pub fn describe_segments(
    centroids: ArrayView2<f32>,
    shares: &[f64],
    components: &[FeatureComponent],
    taken: &[String],
) -> Vec<SegmentDescription> {
    let scores: Vec<CentroidScores> =
        centroids.rows().into_iter().map(|row| CentroidScores { components, row }).collect();
    let words: Vec<words::NameWords> = scores.iter().map(words::NameWords::of).collect();
    let names = unique::names(&words, shares, taken);
    let mut descriptions = Vec::with_capacity(names.len());
    for (scores, name) in scores.iter().zip(names) {
        let defining = scores.defining();
        let description = describe::sentence(&defining, components);
        descriptions.push(SegmentDescription { name, description, defining });
    }
    descriptions
}

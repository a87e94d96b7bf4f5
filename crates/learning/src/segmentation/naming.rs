//! Names and descriptions of segments for marketers, from centroids in z-scores and the meaning of their components. Components are
//! looked up by name: a schema without one only lacks its words. Only means are read, no user's data.

mod comparatives;
mod describe;
mod scores;
mod unique;
mod words;

use ndarray::{ArrayView1, ArrayView2};
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

/// Describes the segments of `centroids` (`k x d`, in z-scores relative to all users), with a column per component; `raw_means` (`k x d`)
/// has the means of the segments in the units of the components. No two segments get the same name, and none a name of `taken`; segments
/// with larger `shares` choose first. A name never ends in a digit. The same input gives the same names. NaN counts as 0, and so does a
/// missing row or share.
pub fn describe_segments(
    centroids: ArrayView2<f32>,
    raw_means: ArrayView2<f32>,
    shares: &[f64],
    components: &[FeatureComponent],
    taken: &[String],
) -> Vec<SegmentDescription> {
    let missing: &[f32] = &[];
    let mut candidates: Vec<unique::NameCandidate> = Vec::with_capacity(centroids.nrows());
    for (index, row) in centroids.rows().into_iter().enumerate() {
        let raw = if index < raw_means.nrows() { raw_means.row(index) } else { ArrayView1::from(missing) };
        let scores = CentroidScores { components, row, raw };
        candidates.push(unique::NameCandidate { words: words::NameWords::of(&scores), scores });
    }
    let names = unique::names(&candidates, shares, taken);
    let mut descriptions = Vec::with_capacity(names.len());
    for (candidate, name) in candidates.iter().zip(names) {
        let defining = candidate.scores.defining();
        let description = describe::sentence(&defining, components);
        descriptions.push(SegmentDescription { name, description, defining });
    }
    descriptions
}

/// Returns true if a name ends in a digit, as earlier releases made names distinct.
pub fn is_numbered(name: &str) -> bool {
    name.ends_with(|last: char| last.is_ascii_digit())
}

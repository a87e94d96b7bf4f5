//! Names that a marketer understands. In come the centroids of segments in z-scores and what their components mean; out go
//! for each a name of a few words, a description of one sentence, and the components that set it apart. Components are known
//! by their names: one that a schema lacks only means that its words are never used. Nobody's data is looked at, only means.

mod describe;
mod scores;
mod unique;
mod words;

use ndarray::ArrayView2;
use portrait_profile::FeatureComponent;
use scores::CentroidScores;
pub use scores::Defining;
use serde::{Deserialize, Serialize};

/// A segment in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentDescription {
    /// A few words in lower case, at most 48 characters, like "frequent night buyers".
    pub name: String,
    /// A sentence of at most 240 characters.
    pub description: String,
    /// What sets it apart, strongest first: at most 6, each at least 0.3 from the mean. Of one measure over several spans
    /// only the strongest.
    pub defining: Vec<Defining>,
}

/// Names the segments of `centroids`: a row a segment, a column a component of `components`, in z-scores relative to all
/// shoppers. No two get the same name, and none gets one of `taken`; the segment with the larger of `shares` has the first
/// choice. The same input gives the same names. NaN counts as 0, and so does a share that is missing.
pub fn describe_segments(
    centroids: ArrayView2<f32>,
    shares: &[f64],
    components: &[FeatureComponent],
    taken: &[String],
) -> Vec<SegmentDescription> {
    let readings: Vec<CentroidScores> =
        centroids.rows().into_iter().map(|row| CentroidScores { components, row }).collect();
    let words: Vec<words::NameWords> = readings.iter().map(words::NameWords::of).collect();
    let names = unique::names(&words, shares, taken);
    let portrayed = |(reading, name): (&CentroidScores, String)| {
        let defining = reading.defining();
        SegmentDescription { name, description: describe::sentence(&defining, components), defining }
    };
    readings.iter().zip(names).map(portrayed).collect()
}

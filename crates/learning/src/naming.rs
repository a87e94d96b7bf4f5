//! Names that a marketer understands. In come the centroids of segments in z-scores and what their components mean; out go
//! for each a name of a few words, a description of one sentence, and the components that set it apart. Components are known
//! by their names: one that a schema lacks only means that its words are never used. Nobody's data is looked at, only means.

mod describe;
mod unique;
mod words;

use ndarray::{ArrayView1, ArrayView2};
use portrait_profile::FeatureComponent;
use serde::{Deserialize, Serialize};

/// The longest name.
const NAME_MAX_CHARACTERS: usize = 48;

/// The longest description.
const DESCRIPTION_MAX_CHARACTERS: usize = 240;

/// How many components define a segment at most.
const DEFINING_MAX: usize = 6;

/// The least distance to the mean, in standard deviations, that says anything.
const Z_MIN: f32 = 0.3;

/// A component by which a segment differs from all shoppers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Defining {
    /// Its index in the schema.
    pub component: usize,
    /// The segment's mean, in standard deviations above that of all shoppers.
    pub z: f32,
}

/// A segment in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Portrayed {
    /// A few words in lower case, at most 48 characters, like "frequent night buyers".
    pub name: String,
    /// A sentence of at most 240 characters.
    pub description: String,
    /// What sets it apart, strongest first: at most 6, each at least 0.3 from the mean. Of one measure over several spans
    /// only the strongest.
    pub defining: Vec<Defining>,
}

/// What a centroid says about the components of a schema.
struct Reading<'a> {
    components: &'a [FeatureComponent],
    row: ArrayView1<'a, f32>,
}

/// Names the segments of `centroids`: a row a segment, a column a component of `components`, in z-scores relative to all
/// shoppers. No two get the same name, and none gets one of `taken`; the segment with the larger of `shares` has the first
/// choice. The same input gives the same names. NaN counts as 0, and so does a share that is missing.
pub fn portray(
    centroids: ArrayView2<f32>,
    shares: &[f64],
    components: &[FeatureComponent],
    taken: &[String],
) -> Vec<Portrayed> {
    let readings: Vec<Reading> =
        centroids.rows().into_iter().map(|row| Reading { components, row }).collect();
    let words: Vec<words::Words> = readings.iter().map(words::Words::of).collect();
    let names = unique::names(&words, shares, taken);
    let portrayed = |(reading, name): (&Reading, String)| {
        let defining = reading.defining();
        Portrayed { name, description: describe::sentence(&defining, components), defining }
    };
    readings.iter().zip(names).map(portrayed).collect()
}

impl Reading<'_> {
    /// The z-score at an index; 0 for NaN.
    fn at(&self, component: usize) -> f32 {
        self.row.get(component).copied().filter(|z| !z.is_nan()).unwrap_or(0.0)
    }

    /// The z-score of the component of that name, if the schema has it.
    fn z(&self, name: &str) -> Option<f32> {
        self.components.iter().position(|component| component.name == name).map(|index| self.at(index))
    }

    /// That of the first of some names which the schema has.
    fn first(&self, names: &[&str]) -> Option<f32> {
        names.iter().find_map(|name| self.z(name))
    }

    /// The largest of those which the schema has.
    fn largest(&self, names: &[&str]) -> Option<f32> {
        names.iter().filter_map(|name| self.z(name)).max_by(f32::total_cmp)
    }

    /// The mean of those which the schema has.
    fn mean(&self, names: &[&str]) -> Option<f32> {
        let known: Vec<f32> = names.iter().filter_map(|name| self.z(name)).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f32>() / known.len() as f32)
    }

    fn defining(&self) -> Vec<Defining> {
        let mut all: Vec<Defining> = (0..self.components.len())
            .map(|component| Defining { component, z: self.at(component) })
            .filter(|defining| defining.z.abs() >= Z_MIN)
            .collect();
        all.sort_by(|a, b| b.z.abs().total_cmp(&a.z.abs()));
        let mut defining: Vec<Defining> = Vec::with_capacity(DEFINING_MAX);
        for one in all {
            let measure = measure(&self.components[one.component].name);
            let known =
                defining.iter().any(|other| measure == self::measure(&self.components[other.component].name));
            if !known && defining.len() < DEFINING_MAX {
                defining.push(one);
            }
        }
        defining
    }
}

/// The name without its span: "behavior.view" of "behavior.view.7d".
fn measure(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((measure, span)) if span.starts_with(|first: char| first.is_ascii_digit()) => measure,
        _ => name,
    }
}

//! Readings of one centroid: its components by name, and those that set it apart from the mean of all shoppers.

use ndarray::ArrayView1;
use portrait_profile::FeatureComponent;
use serde::{Deserialize, Serialize};

/// How many components define a segment at most.
const DEFINING_MAX: usize = 6;

/// The least distance to the mean, in standard deviations, that says anything.
pub(super) const Z_MIN: f32 = 0.3;

/// A component by which a segment differs from all shoppers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Defining {
    /// Its index in the schema.
    pub component: usize,
    /// The segment's mean, in standard deviations above that of all shoppers.
    pub z: f32,
}

/// What a centroid says about the components of a schema.
pub(super) struct CentroidScores<'a> {
    pub(super) components: &'a [FeatureComponent],
    pub(super) row: ArrayView1<'a, f32>,
}

impl CentroidScores<'_> {
    /// The z-score at an index; 0 for NaN.
    pub(super) fn at(&self, component: usize) -> f32 {
        self.row.get(component).copied().filter(|z| !z.is_nan()).unwrap_or(0.0)
    }

    /// The z-score of the component of that name, if the schema has it.
    pub(super) fn z(&self, name: &str) -> Option<f32> {
        self.components.iter().position(|component| component.name == name).map(|index| self.at(index))
    }

    /// That of the first of some names which the schema has.
    pub(super) fn first(&self, names: &[&str]) -> Option<f32> {
        names.iter().find_map(|name| self.z(name))
    }

    /// The largest of those which the schema has.
    pub(super) fn largest(&self, names: &[&str]) -> Option<f32> {
        names.iter().filter_map(|name| self.z(name)).max_by(f32::total_cmp)
    }

    /// The mean of those which the schema has.
    pub(super) fn mean(&self, names: &[&str]) -> Option<f32> {
        let known: Vec<f32> = names.iter().filter_map(|name| self.z(name)).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f32>() / known.len() as f32)
    }

    pub(super) fn defining(&self) -> Vec<Defining> {
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

//! Z-scores of one centroid by component name, and the components that define it.

use ndarray::ArrayView1;
use portrait_profile::FeatureComponent;
use serde::{Deserialize, Serialize};

/// Largest number of defining components.
const DEFINING_MAX: usize = 6;

/// Least distance from the mean, in standard deviations, that is described.
pub(super) const Z_MIN: f32 = 0.3;

/// Component in which a segment differs from all users.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Defining {
    /// Index of the component in the schema.
    pub component: usize,
    /// Mean of the segment, in standard deviations above that of all users.
    pub z: f32,
}

/// Centroid with the components of its schema.
pub(super) struct CentroidScores<'a> {
    pub(super) components: &'a [FeatureComponent],
    /// Z-scores.
    pub(super) row: ArrayView1<'a, f32>,
    /// Means in the units of the components.
    pub(super) raw: ArrayView1<'a, f32>,
}

impl CentroidScores<'_> {
    /// Z-score at an index; 0 for NaN.
    pub(super) fn at(&self, component: usize) -> f32 {
        self.row.get(component).copied().filter(|z| !z.is_nan()).unwrap_or(0.0)
    }

    /// Z-score of a component by name; `None` if the schema lacks it.
    pub(super) fn z(&self, name: &str) -> Option<f32> {
        self.components.iter().position(|component| component.name == name).map(|index| self.at(index))
    }

    /// Returns true if the mean of the first of several names that the schema has is above 0.
    pub(super) fn is_positive(&self, names: &[&str]) -> bool {
        let index = names
            .iter()
            .find_map(|name| self.components.iter().position(|component| component.name == *name));
        index.and_then(|index| self.raw.get(index)).is_some_and(|mean| *mean > 0.0)
    }

    /// Z-score of the first of several names that the schema has.
    pub(super) fn first(&self, names: &[&str]) -> Option<f32> {
        names.iter().find_map(|name| self.z(name))
    }

    /// Largest z-score of the names that the schema has.
    pub(super) fn largest(&self, names: &[&str]) -> Option<f32> {
        names.iter().filter_map(|name| self.z(name)).max_by(f32::total_cmp)
    }

    /// Mean z-score of the names that the schema has.
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
        for candidate in all {
            let measure = measure(&self.components[candidate.component].name);
            let known =
                defining.iter().any(|other| measure == self::measure(&self.components[other.component].name));
            if !known && defining.len() < DEFINING_MAX {
                defining.push(candidate);
            }
        }
        defining
    }
}

/// Name without its window: "behavior.view" of "behavior.view.7d".
fn measure(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((measure, span)) if span.starts_with(|first: char| first.is_ascii_digit()) => measure,
        _ => name,
    }
}

//! Inputs of the feature vector: the values of a view, without the names that no component needs. Computed from the
//! dimensions of a profile and a time.

use crate::decay::DecayedSum;
use crate::dimensions::Dimensions;
use crate::time::Timestamp;
use crate::view::{Affinity, BehaviorView, ShareScale, price_affinities};

/// Values of one user at one time.
pub(super) struct FeatureInputs {
    /// Read time, no earlier than the newest event.
    pub(super) read_at: Timestamp,
    /// Number of traits with a value.
    pub(super) traits: usize,
    pub(super) behavior: BehaviorView,
    /// Share of each category, largest first.
    pub(super) categories: Vec<f64>,
    /// Share of each brand, largest first.
    pub(super) brands: Vec<f64>,
    pub(super) price_bands: Vec<Affinity>,
    pub(super) loyalty: f64,
    /// Number of recent items.
    pub(super) recent_items: usize,
    /// Weight of each edge, largest first.
    pub(super) edges: Vec<f64>,
}

impl FeatureInputs {
    pub(super) fn of(dimensions: &Dimensions, at: Timestamp) -> Self {
        let read_at = dimensions.read_at(at);
        let Dimensions { basic, behavior, preference, social } = dimensions;
        Self {
            read_at,
            traits: basic.active().count(),
            behavior: behavior.view_at(read_at),
            categories: shares(&preference.categories, read_at),
            brands: shares(&preference.brands, read_at),
            price_bands: price_affinities(preference, read_at),
            loyalty: preference.loyalty(),
            recent_items: preference.recent.iter().len(),
            edges: largest_first(social.active().map(|edge| edge.weight)),
        }
    }

    /// Returns the inputs of a user without events.
    pub(super) fn empty() -> Self {
        Self::of(&Dimensions::default(), Timestamp::EPOCH)
    }
}

fn shares<Name>(list: &[(Name, DecayedSum)], at: Timestamp) -> Vec<f64> {
    let scale = ShareScale::among(list.iter().map(|(_, sum)| sum), at);
    // Components depend on the shares alone, so that names are neither copied nor sorted.
    largest_first(list.iter().map(|(_, sum)| scale.of(sum)))
}

fn largest_first(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(|one, other| other.total_cmp(one));
    values
}

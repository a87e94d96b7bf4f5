//! What the numbers of a profile are worked out from: what a view has, without the names that no number needs. In come the
//! dimensions of a profile and a moment.

use crate::decay::DecayedSum;
use crate::dimensions::Dimensions;
use crate::time::Timestamp;
use crate::view::{Affinity, BehaviorView, ShareScale, price_affinities};

/// What is known of a shopper at a moment.
pub(super) struct FeatureInputs {
    /// The moment: no earlier than the newest event.
    pub(super) read_at: Timestamp,
    /// How many traits are known.
    pub(super) traits: usize,
    pub(super) behavior: BehaviorView,
    /// The share of each category, largest first.
    pub(super) categories: Vec<f64>,
    /// The same of brands.
    pub(super) brands: Vec<f64>,
    pub(super) price_bands: Vec<Affinity>,
    pub(super) loyalty: f64,
    /// How many items are remembered.
    pub(super) recent_items: usize,
    /// How much each other shopper who is known counts, most first.
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

    /// Of somebody who did nothing yet.
    pub(super) fn empty() -> Self {
        Self::of(&Dimensions::default(), Timestamp::EPOCH)
    }
}

fn shares<Name>(list: &[(Name, DecayedSum)], at: Timestamp) -> Vec<f64> {
    let sharing = ShareScale::among(list.iter().map(|(_, sum)| sum), at);
    largest_first(list.iter().map(|(_, sum)| sharing.of(sum)))
}

fn largest_first(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(|one, other| other.total_cmp(one));
    values
}

//! Inputs of the drift detectors: quantized short-memory features of active users, the category shares of a week, and the loyalty of
//! recently active users.
//!
//! Most features drift without any change of behaviour: hours follow the clock, sums over months grow while a shop is young, tenure
//! always grows, and features of inactive users decay. So only features with a half-life of 7 days are watched, only for active
//! users, and only in steps that matter: the thousandth part of an order, left over from one a month ago, counts as zero.

use super::{Baseline, CategoryShares};
use ndarray::{Array2, ArrayView1, ArrayView2};
use portrait_profile::{FeatureMemory, FeatureSchema};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// Users active within this many days are compared: four half-lives of the watched features, after which 6% of an event is left.
const ACTIVE_DAYS: f32 = 28.0;
/// Users active within this many days count for category shares: a whole week, since weekends differ from other days.
const WEEK_DAYS: f32 = 7.0;
/// Quantization: shares in tenths, bits and doublings in quarters, counts and sums in powers of two.
const STEPS_PER_UNIT_SHARE: f32 = 10.0;
const STEPS_PER_BIT: f32 = 4.0;

/// Sample of users to compare.
#[derive(Clone, Debug)]
pub struct DriftSample<'a> {
    /// Raw feature vectors, `n x d`, one row per user.
    pub raw: ArrayView2<'a, f32>,
    /// Category of each user's last categorised action, in the order of the rows; `None` without one.
    pub latest_category: Vec<Option<&'a str>>,
}

/// State of the users at training time, stored in the model for later comparisons.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DriftReference {
    /// Distribution of each watched component; `None` if too few users were active.
    pub components: Option<Baseline>,
    /// Category shares of the users active within a week.
    pub categories: CategoryShares,
}

/// Component indices of one feature schema that drift detection reads.
#[derive(Debug)]
pub struct DriftFeatures {
    /// Index of each short-memory component and its quantization.
    watched: Vec<(usize, Quantization)>,
    recency: usize,
    categories: usize,
    loyalty: usize,
}

#[derive(Clone, Copy, Debug)]
enum Quantization {
    Linear(f32),
    Log2,
}

impl DriftFeatures {
    /// Returns the drift features of [`FeatureSchema::current`].
    pub fn current() -> &'static Self {
        static CURRENT: LazyLock<DriftFeatures> =
            LazyLock::new(|| DriftFeatures::of_schema(FeatureSchema::current()));
        &CURRENT
    }

    fn of_schema(schema: &FeatureSchema) -> Self {
        // Names of this release's own schema: a missing one is a mistake in the code, not in the data.
        let index = |name: &str| schema.position(name).expect("a component of the schema");
        let mut watched = Vec::new();
        for (index, component) in schema.components().iter().enumerate() {
            if component.memory == FeatureMemory::Weeks {
                watched.push((index, Quantization::for_component(component.unit)));
            }
        }
        Self {
            watched,
            recency: index("behavior.recency"),
            categories: index("preference.category_count"),
            loyalty: index("preference.constancy"),
        }
    }

    /// Indices of the watched components in the feature vector, in the order of the columns of [`Self::rows`].
    pub fn components(&self) -> impl ExactSizeIterator<Item = usize> {
        self.watched.iter().map(|(index, _)| *index)
    }

    /// Quantized watched components of the active users: `a x w` from raw vectors `n x d`.
    pub fn rows(&self, raw: ArrayView2<f32>) -> Array2<f32> {
        let rows: Vec<ArrayView1<f32>> =
            raw.outer_iter().filter(|row| row[self.recency] <= ACTIVE_DAYS).collect();
        Array2::from_shape_fn((rows.len(), self.watched.len()), |(row, column)| {
            let (index, quantization) = self.watched[column];
            quantization.quantize(rows[row][index])
        })
    }

    /// Computes the reference that later samples are compared with.
    pub fn reference(&self, sample: &DriftSample<'_>) -> DriftReference {
        // A young shop has too few active users for deciles; it is then checked by the other detectors alone.
        let components = Baseline::fit(self.rows(sample.raw).view()).ok();
        DriftReference { components, categories: self.categories(sample) }
    }

    /// Category shares of the users active within a week.
    pub fn categories(&self, sample: &DriftSample<'_>) -> CategoryShares {
        let active = sample
            .raw
            .outer_iter()
            .zip(&sample.latest_category)
            .filter(|(row, _)| row[self.recency] <= WEEK_DAYS);
        CategoryShares::from_categories(active.filter_map(|(_, category)| *category))
    }

    /// Loyalty, 0 to 1, of each user who was active within `days` and prefers at least one category: how well the previous months
    /// predict the present. In the order of the rows.
    pub fn loyalty(&self, raw: ArrayView2<f32>, days: f64) -> Vec<f64> {
        raw.outer_iter()
            .filter(|row| f64::from(row[self.recency]) <= days && row[self.categories] > 0.0)
            .map(|row| f64::from(row[self.loyalty]))
            .collect()
    }
}

impl Quantization {
    fn for_component(unit: &str) -> Self {
        match unit {
            "share" => Self::Linear(STEPS_PER_UNIT_SHARE),
            "bits" | "doublings" => Self::Linear(STEPS_PER_BIT),
            _ => Self::Log2,
        }
    }

    fn quantize(self, raw: f32) -> f32 {
        match self {
            Self::Linear(steps) => (raw * steps).round(),
            // By magnitude, with the sign put back: refunds make sums of money negative.
            Self::Log2 => (1.0 + raw.abs()).log2().round().copysign(raw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(set: &[&[(&str, f32)]]) -> Array2<f32> {
        let schema = FeatureSchema::current();
        let mut rows = Array2::zeros((set.len(), schema.components().len()));
        for (row, values) in set.iter().enumerate() {
            for (name, value) in *values {
                rows[[row, schema.position(name).expect("a component")]] = *value;
            }
        }
        rows
    }

    #[test]
    fn only_short_memory_components_of_active_users_are_watched() {
        let rows = raw(&[
            &[("behavior.recency", 27.0), ("behavior.view.7d", 3.2), ("behavior.money.7d", -7.0)],
            &[("behavior.recency", 29.0), ("behavior.view.7d", 3.0)],
            &[("preference.category_top_share", 0.26), ("preference.brand_entropy", 0.49)],
        ]);
        let features = DriftFeatures::current();
        let quantized = features.rows(rows.view());
        assert_eq!(quantized.dim(), (2, features.components().len()));
        let components = FeatureSchema::current().components();
        let watched: Vec<&str> = features.components().map(|index| &*components[index].name).collect();
        let value = |row: usize, name: &str| {
            quantized[[row, watched.iter().position(|watched| *watched == name).expect("it is watched")]]
        };
        assert_eq!((value(0, "behavior.view.7d"), value(0, "behavior.money.7d")), (2.0, -3.0));
        let shares = (value(1, "preference.category_top_share"), value(1, "preference.brand_entropy"));
        assert_eq!(shares, (3.0, 2.0));
        for other in ["behavior.view.1h", "behavior.view.90d", "behavior.tenure", "behavior.night_share"] {
            assert!(!watched.contains(&other), "{other} drifts by itself");
        }
    }

    #[test]
    fn decayed_remainders_of_old_events_count_as_zero() {
        let left = |days: f32| {
            let rows = raw(&[&[("behavior.refund.7d", (-days / 7.0).exp2())]]);
            DriftFeatures::current().rows(rows.view()).iter().sum::<f32>()
        };
        assert_eq!((left(0.0), left(10.0), left(100.0)), (1.0, 0.0, 0.0));
    }

    #[test]
    fn loyalty_is_of_recently_active_users_with_a_preferred_category() {
        let rows = raw(&[
            &[("behavior.recency", 0.5), ("preference.category_count", 2.0), ("preference.constancy", 0.25)],
            &[("behavior.recency", 1.5), ("preference.category_count", 2.0), ("preference.constancy", 1.0)],
            &[("behavior.recency", 0.5)],
        ]);
        assert_eq!(DriftFeatures::current().loyalty(rows.view(), 1.0), [0.25]);
        assert_eq!(DriftFeatures::current().loyalty(rows.view(), 2.0), [0.25, 1.0]);
    }

    #[test]
    fn category_shares_are_of_the_users_of_a_week() {
        let rows = raw(&[&[("behavior.recency", 6.0)], &[("behavior.recency", 8.0)], &[]]);
        let latest = vec![Some("shoes"), Some("books"), None];
        let reference =
            DriftFeatures::current().reference(&DriftSample { raw: rows.view(), latest_category: latest });
        assert_eq!(reference.categories, CategoryShares::from_categories(["shoes"].into_iter()));
        assert!(reference.components.is_none(), "three rows are too few for a baseline");
    }
}

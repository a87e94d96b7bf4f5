//! What a look at drift takes of shoppers. In come vectors as profiles give them, and the category of what each did last; out go
//! the rows that population stability is told of, what those of a week came for, and the habits of those who came since the look
//! before.
//!
//! Most of a vector moves by itself: hours follow the clock, sums of months grow as long as a shop is young, tenure grows for
//! ever, and whoever has left fades a little more each day. Only what forgets within weeks says whether people have changed,
//! only of those who came lately, and only in steps that a person would tell apart: the thousandth part of an order, left of
//! one a month ago, is none.

use super::{Baseline, Mix};
use ndarray::{Array2, ArrayView1, ArrayView2};
use portrait_profile::{FeatureSchema, Memory};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// Who came within so many days takes part: four half-lives of what forgets within weeks.
const ACTIVE_DAYS: f32 = 28.0;
/// What is come for is asked of who came within so many days: a whole week, as weekends are not like other days.
const WEEK_DAYS: f32 = 7.0;
/// Shares are told apart in tenths, bits and doublings in quarters, anything counted or summed when it has doubled.
const STEPS_OF_A_SHARE: f32 = 10.0;
const STEPS_OF_A_BIT: f32 = 4.0;

/// Some shoppers.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// Raw vectors, a row a shopper.
    pub raw: ArrayView2<'a, f32>,
    /// The category of what each did last, in the same order; none for who did nothing in one.
    pub latest: Vec<Option<&'a str>>,
}

/// How shoppers were, for later looks to be compared with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// How each watched component was spread; none if too few came lately.
    pub components: Option<Baseline>,
    /// What those came for who came within a week.
    pub categories: Mix,
}

/// How vectors of one schema are looked at.
#[derive(Debug)]
pub struct Lately {
    /// The components that forget within weeks, and how each is cut into steps.
    watched: Vec<(usize, Steps)>,
    recency: usize,
    categories: usize,
    constancy: usize,
}

#[derive(Clone, Copy, Debug)]
enum Steps {
    Each(f32),
    Doublings,
}

impl Lately {
    /// How vectors of [`FeatureSchema::current`] are looked at.
    pub fn current() -> &'static Self {
        static CURRENT: LazyLock<Lately> = LazyLock::new(|| Lately::of(FeatureSchema::current()));
        &CURRENT
    }

    fn of(schema: &FeatureSchema) -> Self {
        let place = |name: &str| schema.position(name).expect("a component of the schema");
        let components = schema.components().iter().enumerate();
        let watched = components
            .filter(|(_, component)| component.memory == Memory::Weeks)
            .map(|(place, component)| (place, Steps::of(component.unit)));
        Self {
            watched: watched.collect(),
            recency: place("behavior.recency"),
            categories: place("preference.category_count"),
            constancy: place("preference.constancy"),
        }
    }

    /// The places in the vector of what is watched, in the order of the columns of [`Self::rows`].
    pub fn components(&self) -> impl ExactSizeIterator<Item = usize> {
        self.watched.iter().map(|(place, _)| *place)
    }

    /// Of raw vectors, what is watched of those who came lately, in steps; one row a shopper.
    pub fn rows(&self, raw: ArrayView2<f32>) -> Array2<f32> {
        let active = |row: &ArrayView1<f32>| row[self.recency] <= ACTIVE_DAYS;
        let rows: Vec<ArrayView1<f32>> = raw.outer_iter().filter(active).collect();
        Array2::from_shape_fn((rows.len(), self.watched.len()), |(row, column)| {
            let (place, steps) = self.watched[column];
            steps.cut(rows[row][place])
        })
    }

    /// What later looks are compared with.
    pub fn reference(&self, seen: &Seen<'_>) -> Reference {
        let components = Baseline::fit(self.rows(seen.raw).view()).ok();
        Reference { components, categories: self.categories(seen) }
    }

    /// What those came for who came within a week.
    pub fn categories(&self, seen: &Seen<'_>) -> Mix {
        let shoppers = seen.raw.outer_iter().zip(&seen.latest);
        Mix::of(shoppers.filter(|(row, _)| row[self.recency] <= WEEK_DAYS).filter_map(|(_, latest)| *latest))
    }

    /// The constancy, 0 to 1, of each who came within `days` and likes any category: how well the months before foretell what
    /// is done now.
    pub fn habits(&self, raw: ArrayView2<f32>, days: f64) -> Vec<f64> {
        let came = |row: &ArrayView1<f32>| f64::from(row[self.recency]) <= days && row[self.categories] > 0.0;
        raw.outer_iter().filter(came).map(|row| f64::from(row[self.constancy])).collect()
    }
}

impl Steps {
    fn of(unit: &str) -> Self {
        match unit {
            "share" => Self::Each(STEPS_OF_A_SHARE),
            "bits" | "doublings" => Self::Each(STEPS_OF_A_BIT),
            _ => Self::Doublings,
        }
    }

    fn cut(self, raw: f32) -> f32 {
        match self {
            Self::Each(steps) => (raw * steps).round(),
            Self::Doublings => (1.0 + raw.abs()).log2().round().copysign(raw),
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
    fn only_what_forgets_within_weeks_is_watched_and_only_of_those_who_came() {
        let rows = raw(&[
            &[("behavior.recency", 27.0), ("behavior.view.7d", 3.2), ("behavior.money.7d", -7.0)],
            &[("behavior.recency", 29.0), ("behavior.view.7d", 3.0)],
            &[("preference.category_top_share", 0.26), ("preference.brand_entropy", 0.49)],
        ]);
        let lately = Lately::current();
        let seen = lately.rows(rows.view());
        assert_eq!(seen.dim(), (2, lately.components().len()));
        let components = FeatureSchema::current().components();
        let watched: Vec<&str> = lately.components().map(|place| &*components[place].name).collect();
        let value = |row: usize, name: &str| {
            seen[[row, watched.iter().position(|one| *one == name).expect("it is watched")]]
        };
        assert_eq!((value(0, "behavior.view.7d"), value(0, "behavior.money.7d")), (2.0, -3.0));
        let shares = (value(1, "preference.category_top_share"), value(1, "preference.brand_entropy"));
        assert_eq!(shares, (3.0, 2.0));
        for other in ["behavior.view.1h", "behavior.view.90d", "behavior.tenure", "behavior.night_share"] {
            assert!(!watched.contains(&other), "{other} moves by itself");
        }
    }

    #[test]
    fn what_is_left_of_long_ago_is_nothing() {
        let left = |days: f32| {
            let rows = raw(&[&[("behavior.refund.7d", (-days / 7.0).exp2())]]);
            Lately::current().rows(rows.view()).iter().sum::<f32>()
        };
        assert_eq!((left(0.0), left(10.0), left(100.0)), (1.0, 0.0, 0.0));
    }

    #[test]
    fn habits_are_of_those_who_came_since_and_like_something() {
        let rows = raw(&[
            &[("behavior.recency", 0.5), ("preference.category_count", 2.0), ("preference.constancy", 0.25)],
            &[("behavior.recency", 1.5), ("preference.category_count", 2.0), ("preference.constancy", 1.0)],
            &[("behavior.recency", 0.5)],
        ]);
        assert_eq!(Lately::current().habits(rows.view(), 1.0), [0.25]);
        assert_eq!(Lately::current().habits(rows.view(), 2.0), [0.25, 1.0]);
    }

    #[test]
    fn what_is_come_for_is_of_those_of_a_week() {
        let rows = raw(&[&[("behavior.recency", 6.0)], &[("behavior.recency", 8.0)], &[]]);
        let latest = vec![Some("shoes"), Some("books"), None];
        let reference = Lately::current().reference(&Seen { raw: rows.view(), latest });
        assert_eq!(reference.categories, Mix::of(["shoes"].into_iter()));
        assert!(reference.components.is_none(), "three rows teach nothing");
    }
}

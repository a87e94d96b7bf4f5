//! Dimension 3, what the shopper likes: categories, brands and price bands by faded weight, and the newest items. Every list
//! is bounded by number and by bytes; the weakest, or the oldest item, gives way.

mod packed;
mod recent;

use crate::decay::{Decayed, DecayedSum};
use crate::record::Event;
use crate::time::Timestamp;
use compact_str::CompactString;
use recent::NAME_BYTES;
pub(crate) use recent::{ITEMS_BUDGET_BYTES, Recent};
pub use recent::{RECENT_ITEMS_MAX, RecentItem};

/// How many categories, brands and price bands a profile keeps.
pub const CATEGORIES_MAX: usize = 24;
/// See [`CATEGORIES_MAX`].
pub const BRANDS_MAX: usize = 16;
/// See [`CATEGORIES_MAX`]: every band there is.
pub const PRICE_BANDS_MAX: usize = 24;
/// How many bytes categories and brands may take.
pub(crate) const CATEGORIES_BUDGET_BYTES: usize = 2000;
pub(crate) const BRANDS_BUDGET_BYTES: usize = 1200;

/// What a sum takes beside its name at most: three numbers, which they are, and a time.
const SUM_BYTES: usize = 3 * 4 + 1 + 10;

/// What one shopper likes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Preference {
    /// By category.
    pub(crate) categories: Vec<(CompactString, DecayedSum)>,
    /// By brand.
    pub(crate) brands: Vec<(CompactString, DecayedSum)>,
    /// By price band; see [`price_band`].
    pub(crate) price_bands: Vec<(u8, DecayedSum)>,
    /// The newest items.
    pub(crate) recent: Recent,
}

impl Preference {
    /// Folds an event in.
    pub(crate) fn fold(&mut self, at: Timestamp, event: &Event) {
        let weight = event.action.kind().preference_weight();
        if let Some(category) = &event.category {
            add(&mut self.categories, CompactString::from(&**category), at, weight);
            bound_named(&mut self.categories, CATEGORIES_MAX, CATEGORIES_BUDGET_BYTES);
        }
        if let Some(brand) = &event.brand {
            add(&mut self.brands, CompactString::from(&**brand), at, weight);
            bound_named(&mut self.brands, BRANDS_MAX, BRANDS_BUDGET_BYTES);
        }
        if let Some(price) = event.price {
            add(&mut self.price_bands, price_band(price), at, weight);
        }
        if let Some(item_id) = &event.item_id {
            self.recent.touch(item_id, event.action.kind(), at);
        }
    }

    /// The categories that weigh most at all half-lives together, when the newest was added, the heaviest first.
    pub(crate) fn top_categories(&self, count: usize) -> Vec<&str> {
        let newest = self.categories.iter().map(|(_, sum)| sum.at()).max().unwrap_or_default();
        let weight = |sum: &DecayedSum| {
            let Decayed { hour, week, quarter } = sum.read(newest);
            hour + week + quarter
        };
        let weights = self.categories.iter().map(|(name, sum)| (&**name, weight(sum)));
        let mut weights: Vec<(&str, f64)> = weights.collect();
        weights.sort_by(|one, other| other.1.total_cmp(&one.1));
        weights.into_iter().take(count).map(|(name, _)| name).collect()
    }

    /// The category with the greatest 7-day weight.
    pub(crate) fn top_category(&self) -> Option<&str> {
        self.strongest(|weight| weight.week)
    }

    /// The category with the greatest weight of an hour, when the newest was added.
    pub(crate) fn latest_category(&self) -> Option<&str> {
        self.strongest(|weight| weight.hour)
    }

    fn strongest(&self, of: impl Fn(Decayed) -> f64) -> Option<&str> {
        let newest = self.categories.iter().map(|(_, sum)| sum.at()).max()?;
        let weights = self.categories.iter().map(|(name, sum)| (name, of(sum.read(newest))));
        weights.max_by(|one, other| one.1.total_cmp(&other.1)).map(|(name, _)| &**name)
    }

    /// The share of the hour's weights that the category with the greatest 90-day weight has, when the newest was added; 0
    /// without categories.
    pub(crate) fn loyalty(&self) -> f64 {
        let newest = self.categories.iter().map(|(_, sum)| sum.at()).max().unwrap_or_default();
        let weights = self.categories.iter().map(|(_, sum)| sum.read(newest));
        let total: f64 = weights.clone().map(|weight| weight.hour.max(0.0)).sum();
        let favourite = weights.max_by(|one, other| one.quarter.total_cmp(&other.quarter));
        favourite.filter(|_| total > 0.0).map_or(0.0, |favourite| favourite.hour.max(0.0) / total)
    }
}

fn add<K: PartialEq>(list: &mut Vec<(K, DecayedSum)>, key: K, at: Timestamp, weight: f64) {
    if let Some((_, sum)) = list.iter_mut().find(|(known, _)| *known == key) {
        sum.add(at, weight);
        return;
    }
    let mut sum = DecayedSum::default();
    sum.add(at, weight);
    list.push((key, sum));
}

/// Lets the weakest give way. Strength is compared at the newest moment of the list.
fn bound_named(list: &mut Vec<(CompactString, DecayedSum)>, most: usize, budget_bytes: usize) {
    let bytes_of = |(name, _): &(CompactString, DecayedSum)| name.len() + NAME_BYTES + SUM_BYTES;
    let mut bytes: usize = list.iter().map(bytes_of).sum();
    while list.len() > most || bytes > budget_bytes {
        let now = list.iter().map(|(_, sum)| sum.at()).max().unwrap_or_default();
        let weakness = |one: &usize, other: &usize| {
            let ((name, sum), (other_name, other_sum)) = (&list[*one], &list[*other]);
            sum.strength(now).total_cmp(&other_sum.strength(now)).then_with(|| other_name.cmp(name))
        };
        let Some(weakest) = (0..list.len()).min_by(weakness) else { return };
        bytes -= bytes_of(&list.remove(weakest));
    }
}

/// The band of a price: 0 below 1, and then one for each doubling, the last open at its upper end.
pub(crate) fn price_band(price: f64) -> u8 {
    if price.is_nan() || price < 1.0 {
        return 0;
    }
    (price.log2().floor() + 1.0).min((PRICE_BANDS_MAX - 1) as f64) as u8
}

/// What a person reads for a band, as "16-32".
pub(crate) fn price_band_name(band: u8) -> String {
    match usize::from(band) {
        0 => "0-1".to_owned(),
        last if last >= PRICE_BANDS_MAX - 1 => format!("{}+", 1_u64 << (PRICE_BANDS_MAX - 2)),
        band => format!("{}-{}", 1_u64 << (band - 1), 1_u64 << band),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_has_the_band_that_its_name_says() {
        let rows = [
            (0.0, "0-1"),
            (0.99, "0-1"),
            (1.0, "1-2"),
            (16.0, "16-32"),
            (31.99, "16-32"),
            (1e9, "4194304+"),
            (f64::NAN, "0-1"),
            (f64::INFINITY, "4194304+"),
        ];
        for (price, name) in rows {
            assert_eq!(price_band_name(price_band(price)), name, "{price}");
        }
    }
}

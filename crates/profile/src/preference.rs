//! Dimension 3, preference: categories, brands and price bands by decayed weight, and the recent items. Every list is
//! bounded by number and by bytes; the weakest sum or the oldest item is evicted.

mod packed;
mod recent;

use crate::decay::{Decayed, DecayedSum};
use crate::record::Event;
use crate::time::Timestamp;
use compact_str::CompactString;
use recent::NAME_BYTES;
pub(crate) use recent::{ITEMS_BUDGET_BYTES, Recent};
pub use recent::{RECENT_ITEMS_MAX, RecentItem};

/// Maximum number of categories of a profile.
pub const CATEGORIES_MAX: usize = 24;
/// Maximum number of brands of a profile.
pub const BRANDS_MAX: usize = 16;
/// Number of price bands; a profile can hold all of them.
pub const PRICE_BANDS_MAX: usize = 24;
/// Maximum size of the categories, in bytes.
pub(crate) const CATEGORIES_BUDGET_BYTES: usize = 2000;
/// Maximum size of the brands, in bytes.
pub(crate) const BRANDS_BUDGET_BYTES: usize = 1200;

/// Maximum size of a sum besides its name: three values, the entry's layout byte, and a time.
const SUM_BYTES: usize = 3 * 4 + 1 + 10;

/// Interests of one user.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Preference {
    pub(crate) categories: Vec<(CompactString, DecayedSum)>,
    pub(crate) brands: Vec<(CompactString, DecayedSum)>,
    /// Sums by price band; see [`price_band`].
    pub(crate) price_bands: Vec<(u8, DecayedSum)>,
    pub(crate) recent: Recent,
}

impl Preference {
    /// Folds an event in.
    pub(crate) fn fold(&mut self, at: Timestamp, event: &Event) {
        let weight = event.action.kind().preference_weight();
        if let Some(category) = &event.category {
            add(&mut self.categories, CompactString::from(&**category), at, weight);
            enforce_limits(&mut self.categories, CATEGORIES_MAX, CATEGORIES_BUDGET_BYTES);
        }
        if let Some(brand) = &event.brand {
            add(&mut self.brands, CompactString::from(&**brand), at, weight);
            enforce_limits(&mut self.brands, BRANDS_MAX, BRANDS_BUDGET_BYTES);
        }
        // No limit to enforce: there are only as many bands as a profile can hold.
        if let Some(price) = event.price {
            add(&mut self.price_bands, price_band(price), at, weight);
        }
        if let Some(item_id) = &event.item_id {
            self.recent.touch(item_id, event.action.kind(), at);
        }
    }

    /// Returns up to `count` categories by the sum of their weights at all half-lives, heaviest first, evaluated at the
    /// newest contribution.
    pub(crate) fn top_categories(&self, count: usize) -> Vec<&str> {
        let newest = self.categories.iter().map(|(_, sum)| sum.at()).max().unwrap_or_default();
        let mut weights: Vec<(&str, f64)> = self
            .categories
            .iter()
            .map(|(name, sum)| {
                let Decayed { hour, week, quarter } = sum.read(newest);
                // An old contribution is in the slowest sum only, a new one in all three: recent interests count up to three times.
                (&**name, hour + week + quarter)
            })
            .collect();
        weights.sort_by(|one, other| other.1.total_cmp(&one.1));
        weights.into_iter().take(count).map(|(name, _)| name).collect()
    }

    /// Returns the category with the largest 7-day weight.
    pub(crate) fn top_category(&self) -> Option<&str> {
        self.strongest(|weight| weight.week)
    }

    /// Returns the category with the largest one-hour weight, evaluated at the newest contribution.
    pub(crate) fn latest_category(&self) -> Option<&str> {
        self.strongest(|weight| weight.hour)
    }

    fn strongest(&self, weight: impl Fn(Decayed) -> f64) -> Option<&str> {
        // At the newest contribution, so that underflow after a long absence cannot decide.
        let newest = self.categories.iter().map(|(_, sum)| sum.at()).max()?;
        let weights = self.categories.iter().map(|(name, sum)| (name, weight(sum.read(newest))));
        weights.max_by(|one, other| one.1.total_cmp(&other.1)).map(|(name, _)| &**name)
    }

    /// Returns the share of the category with the largest 90-day weight among the one-hour weights, evaluated at the newest
    /// contribution; 0 without categories.
    pub(crate) fn loyalty(&self) -> f64 {
        let newest = self.categories.iter().map(|(_, sum)| sum.at()).max().unwrap_or_default();
        let weights = self.categories.iter().map(|(_, sum)| sum.read(newest));
        // Removals from the cart and refunds can make a weight negative; a share needs weights of one sign.
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

/// Evicts the weakest sums beyond the limits. Strength is compared at the newest contribution of the list.
fn enforce_limits(list: &mut Vec<(CompactString, DecayedSum)>, max: usize, budget_bytes: usize) {
    let bytes_of = |(name, _): &(CompactString, DecayedSum)| name.len() + NAME_BYTES + SUM_BYTES;
    let mut bytes: usize = list.iter().map(bytes_of).sum();
    while list.len() > max || bytes > budget_bytes {
        let now = list.iter().map(|(_, sum)| sum.at()).max().unwrap_or_default();
        let weakest = (0..list.len()).min_by(|one, other| {
            let ((name, sum), (other_name, other_sum)) = (&list[*one], &list[*other]);
            // Ties are broken by name: a rebuild must evict the same entry.
            sum.strength(now).total_cmp(&other_sum.strength(now)).then_with(|| other_name.cmp(name))
        });
        let Some(weakest) = weakest else { return };
        bytes -= bytes_of(&list.remove(weakest));
    }
}

/// Returns the band of a price: 0 below 1, then one for each doubling; the last band has no upper end.
pub(crate) fn price_band(price: f64) -> u8 {
    if price.is_nan() || price < 1.0 {
        return 0;
    }
    (price.log2().floor() + 1.0).min((PRICE_BANDS_MAX - 1) as f64) as u8
}

/// Returns the human-readable name of a band, as "16-32".
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
    fn a_price_is_within_the_band_that_its_name_gives() {
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

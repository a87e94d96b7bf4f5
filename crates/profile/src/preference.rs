//! Dimension 3, preference: categories, brands and price bands by decayed weight, and the recent items. Every list is
//! bounded by number and by bytes; the weakest sum or the oldest item is evicted.

mod packed;
mod recent;

use crate::action::ActionKind;
use crate::behavior::{OrderEffect, index_after_eviction};
use crate::decay::{Decayed, DecayedSum};
use crate::id::ItemId;
use crate::label;
use crate::record::Event;
use crate::time::Timestamp;
use compact_str::CompactString;
pub use recent::{ActionAt, ItemState, RECENT_ITEMS_MAX, RecentItem};
pub(crate) use recent::{ITEMS_BUDGET_BYTES, Recent};
use recent::{NAME_BYTES, Touch};

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

/// Category of a folded event.
pub(crate) struct FoldedCategory {
    /// Index of the category; none without one, or if it was evicted at once.
    pub(crate) index: Option<u8>,
    /// Index of each evicted category at its eviction, in order.
    pub(crate) evicted: Vec<u8>,
}

impl Preference {
    /// Folds an event in, given its effect on the orders. Returns what the profile's other lists of categories depend on.
    pub(crate) fn fold(&mut self, at: Timestamp, event: &Event, effect: OrderEffect) -> FoldedCategory {
        let kind = event.action.kind();
        // What is taken back is dated by what it takes back, so that nothing of both is left.
        let weight_at = self.reverted_at(kind, event.item_id.as_ref(), effect).unwrap_or(at);
        let weight = event.interest();
        let (categories, brands) = (self.categories.len(), self.brands.len());
        let mut category =
            event.category.as_deref().and_then(|name| add(&mut self.categories, name, weight_at, weight));
        let evicted = evict(&mut self.categories, categories, CATEGORIES_MAX, CATEGORIES_BUDGET_BYTES);
        for index in &evicted {
            self.recent.forget_category(*index);
            category = index_after_eviction(category, *index);
        }
        let mut brand =
            event.brand.as_deref().and_then(|name| add(&mut self.brands, name, weight_at, weight));
        for index in evict(&mut self.brands, brands, BRANDS_MAX, BRANDS_BUDGET_BYTES) {
            self.recent.forget_brand(index);
            brand = index_after_eviction(brand, index);
        }
        // No limit to enforce: there are only as many bands as a profile can hold.
        if let Some(price) = event.price {
            let band = price_band(price);
            let known = self.price_bands.iter().position(|(known, _)| *known == band);
            let index = known.unwrap_or_else(|| {
                self.price_bands.push((band, DecayedSum::default()));
                self.price_bands.len() - 1
            });
            self.price_bands[index].1.add(weight_at, weight);
        }
        if let Some(item_id) = &event.item_id {
            let is_returned = matches!(effect, OrderEffect::Refunded { is_whole: true, .. });
            self.recent.touch(Touch { item_id, kind, at, category, brand, is_returned });
        }
        FoldedCategory { index: category, evicted }
    }

    /// Returns the time of the action that an event takes back; none if it takes none back, or that is not known.
    fn reverted_at(
        &self,
        kind: ActionKind,
        item_id: Option<&ItemId>,
        effect: OrderEffect,
    ) -> Option<Timestamp> {
        match effect {
            OrderEffect::Refunded { bought_at, .. } => bought_at,
            _ if kind == ActionKind::RemoveFromCart => {
                self.recent.find(item_id?)?.newest_of(ActionKind::AddToCart)
            }
            _ => None,
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

/// Adds a weight to the sum of a name, and returns its index; none for an unknown name without a weight.
fn add(list: &mut Vec<(CompactString, DecayedSum)>, name: &str, at: Timestamp, weight: f64) -> Option<u8> {
    // Nearly always the spelling is the same; the names are compared without it only if none is.
    let known = list.iter().position(|(known, _)| known == name);
    let known = known.or_else(|| list.iter().position(|(known, _)| label::is_same(known, name)));
    // A search is no interest: its category is not listed for it.
    if known.is_none() && weight == 0.0 {
        return None;
    }
    let index = known.unwrap_or_else(|| {
        list.push((CompactString::from(name), DecayedSum::default()));
        list.len() - 1
    });
    list[index].1.add(at, weight);
    // The lists have at most 24 entries, and one more until the next eviction.
    Some(index as u8)
}

/// Evicts the weakest sums beyond the limits, given the length before the last fold, and returns the index that each had at its
/// eviction. Strength is compared at the newest contribution of the list.
fn evict(
    list: &mut Vec<(CompactString, DecayedSum)>,
    length_before: usize,
    max: usize,
    budget_bytes: usize,
) -> Vec<u8> {
    // Only a new name takes more room.
    if list.len() == length_before {
        return Vec::new();
    }
    let bytes_of = |(name, _): &(CompactString, DecayedSum)| name.len() + NAME_BYTES + SUM_BYTES;
    let mut bytes: usize = list.iter().map(bytes_of).sum();
    let mut evicted = Vec::new();
    while list.len() > max || bytes > budget_bytes {
        let now = list.iter().map(|(_, sum)| sum.at()).max().unwrap_or_default();
        let weakest = (0..list.len()).min_by(|one, other| {
            let ((name, sum), (other_name, other_sum)) = (&list[*one], &list[*other]);
            // Ties are broken by name: a rebuild must evict the same entry.
            sum.strength(now).total_cmp(&other_sum.strength(now)).then_with(|| other_name.cmp(name))
        });
        let Some(weakest) = weakest else { break };
        bytes -= bytes_of(&list.remove(weakest));
        evicted.push(weakest as u8);
    }
    evicted
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

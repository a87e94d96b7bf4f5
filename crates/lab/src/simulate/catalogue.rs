//! Catalogue of the simulated shop: ten categories, each with its brands, its search phrases and items sorted by
//! price. Prices are whole cents, so that sums are equal on every machine.

use super::sampling;
use portrait_proto::v1;
use rand::RngExt;
use rand::rngs::StdRng;

#[derive(Debug)]
pub(super) struct CategorySpec {
    pub(super) name: &'static str,
    pub(super) searches: [&'static str; 3],
    brands: [&'static str; 4],
    /// Median price of the items, in cents.
    median_cents: f64,
}

/// Index of a category in [`CATEGORIES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CategoryId(usize);

#[derive(Debug)]
pub(super) struct SimulatedCatalogue {
    /// Items of each category in ascending order of price; never empty.
    items_by_category: Vec<Vec<StockedItem>>,
}

#[derive(Debug)]
pub(super) struct StockedItem {
    pub(super) item_id: String,
    pub(super) category: CategoryId,
    pub(super) brand: &'static str,
    pub(super) cents: u32,
}

const fn category(
    name: &'static str,
    median_cents: f64,
    brands: [&'static str; 4],
    searches: [&'static str; 3],
) -> CategorySpec {
    CategorySpec { name, searches, brands, median_cents }
}

/// All categories of the shop.
pub(super) const CATEGORIES: [CategorySpec; 10] = [
    category(
        "shoes",
        6900.0,
        ["Fjellgang", "Corsa", "Lumen", "Pinta"],
        ["running shoes", "boots 42", "white sneakers"],
    ),
    category(
        "clothing",
        3500.0,
        ["Nordlys", "Almeda", "Pinta", "Kiri"],
        ["linen shirt", "rain jacket", "black jeans"],
    ),
    category(
        "electronics",
        18900.0,
        ["Voltera", "Hanzo", "Lumen", "Octave"],
        ["noise cancelling headphones", "usb-c hub", "e-reader"],
    ),
    category(
        "books",
        1400.0,
        ["Grove Press", "Kontor", "Tusche", "Meridian"],
        ["crime novel", "travel guide", "cook book"],
    ),
    category("beauty", 2200.0, ["Alba", "Kiri", "Rosenrot", "Maren"], ["sun cream", "shampoo", "face serum"]),
    category(
        "home",
        4500.0,
        ["Hygge & Co", "Tove", "Almeda", "Kupfer"],
        ["desk lamp", "duvet", "coffee grinder"],
    ),
    category(
        "toys",
        2500.0,
        ["Bauklotz", "Miro", "Kiwi", "Tusche"],
        ["board game", "wooden train", "puzzle 1000"],
    ),
    category(
        "sports",
        5200.0,
        ["Corsa", "Fjellgang", "Alpin", "Octave"],
        ["yoga mat", "dumbbell", "tent 2 persons"],
    ),
    category(
        "groceries",
        800.0,
        ["Feldfrisch", "Oliva", "Kornhaus", "Maren"],
        ["coffee beans", "olive oil", "oat milk"],
    ),
    category(
        "jewelry",
        12900.0,
        ["Solveig", "Aurum", "Pinta", "Lys"],
        ["silver ring", "wrist watch", "ear rings"],
    ),
];

impl CategoryId {
    /// Returns the category at an index; callers pass constants of this folder.
    pub(super) const fn at(index: usize) -> Self {
        Self(index % CATEGORIES.len())
    }

    pub(super) const fn index(self) -> usize {
        self.0
    }

    pub(super) const fn category(self) -> &'static CategorySpec {
        &CATEGORIES[self.0]
    }

    pub(super) const fn name(self) -> &'static str {
        CATEGORIES[self.0].name
    }
}

impl StockedItem {
    /// Price in the shop's currency of an item of `cents`, at `factor` times the regular price.
    pub(super) fn price(cents: u32, factor: f64) -> f64 {
        // At least one cent: a price of zero would be no price.
        (f64::from(cents) * factor).round().max(1.0) / 100.0
    }

    fn listed(&self, factor: f64) -> v1::Item {
        v1::Item {
            item_id: self.item_id.clone(),
            category: self.category.name().to_owned(),
            brand: self.brand.to_owned(),
            price: Some(Self::price(self.cents, factor)),
            currency: String::new(),
            title: format!("{} {}, {}", self.brand, self.category.name(), self.item_id),
            available: None,
        }
    }
}

impl SimulatedCatalogue {
    /// Generates `items` items, spread evenly over the categories; at least one in each.
    pub(super) fn generate(rng: &mut StdRng, items: u32) -> Self {
        let mut items_by_category: Vec<Vec<StockedItem>> = CATEGORIES.iter().map(|_| Vec::new()).collect();
        for number in 0..items.max(CATEGORIES.len() as u32) {
            let category = CategoryId::at(number as usize);
            // A log-uniform spread from a quarter to four times the median, as prices within a category differ.
            let spread = rng.random_range(-1.4..1.4_f64).exp();
            items_by_category[category.index()].push(StockedItem {
                item_id: format!("{}-{number:03}", category.name()),
                category,
                brand: sampling::one_of(rng, &category.category().brands),
                cents: (category.category().median_cents * spread).round().max(1.0) as u32,
            });
        }
        for items in &mut items_by_category {
            items.sort_by_key(|item| item.cents);
        }
        Self { items_by_category }
    }

    /// Draws an item of a category near a price level from 0 (cheapest) to 1 (most expensive).
    pub(super) fn pick(&self, rng: &mut StdRng, category: CategoryId, price_level: f64) -> &StockedItem {
        let items = &self.items_by_category[category.index()];
        // The mean of two uniform draws has a triangular distribution: mostly near the level, sometimes far from it.
        let deviation = (rng.random_range(-0.5..0.5) + rng.random_range(-0.5..0.5)) * 0.5;
        let position = (price_level + deviation).clamp(0.0, 1.0) * items.len() as f64;
        // A level of 1 falls just behind the last item.
        &items[(position as usize).min(items.len() - 1)]
    }

    /// Catalogue items: all at regular prices, or those of one category at `factor` times their price.
    pub(super) fn items(&self, only: Option<(&str, f64)>) -> impl Iterator<Item = v1::Item> {
        let (name, factor) = only.map_or((None, 1.0), |(name, factor)| (Some(name), factor));
        let items = self.items_by_category.iter().flatten();
        items
            .filter(move |item| name.is_none_or(|name| item.category.name() == name))
            .map(move |item| item.listed(factor))
    }
}

//! Cold-start items: items without interactions. Each is scored as the mean of the known items of its category and brand, or of its
//! category where those are too few, without the user's own history of them.

use super::item_model::RecommenderError;
use portrait_profile::ItemId;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Least number of known items in a category (and brand) for a mean.
const SIMILAR_ITEMS_MIN: usize = 5;
/// Largest number of items in a mean; of more, an evenly spread selection.
const SIMILAR_ITEMS_MAX: usize = 64;

/// Catalogue entry of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemDescription {
    /// Id of the item.
    pub id: ItemId,
    /// Category of the item; empty if unknown.
    pub category: Box<str>,
    /// Brand of the item; empty if unknown.
    pub brand: Box<str>,
}

/// Cold-start items with their similar items.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ColdStartItems {
    /// Ids in ascending order.
    ids: Vec<ItemId>,
    /// Index into `similar_items` for each id.
    similar_of: Vec<u32>,
    /// Indices of known items by category and brand.
    similar_items: Vec<Vec<u32>>,
}

/// Category, with a brand or without.
type CategoryBrand<'a> = (&'a str, Option<&'a str>);

impl ColdStartItems {
    /// Selects the items of a catalogue that have no index and enough similar items that have one.
    pub(super) fn new(catalogue: &[ItemDescription], index: impl Fn(&str) -> Option<u32>) -> Self {
        let mut known: HashMap<CategoryBrand<'_>, Vec<u32>> = HashMap::new();
        for item in catalogue {
            if let Some(index) = index(item.id.as_str()) {
                item.kinds().for_each(|kind| known.entry(kind).or_default().push(index));
            }
        }
        // Items of one category and brand share a list, so that its mean is computed once per request.
        let mut groups: HashMap<CategoryBrand<'_>, u32> = HashMap::new();
        let mut similar_items = Vec::new();
        let mut selected = Vec::new();
        for item in catalogue.iter().filter(|item| index(item.id.as_str()).is_none()) {
            let kind = item
                .kinds()
                .find(|kind| known.get(kind).is_some_and(|known| known.len() >= SIMILAR_ITEMS_MIN));
            let Some(kind) = kind else { continue };
            let group = *groups.entry(kind).or_insert_with(|| {
                similar_items.push(spread(&known[&kind]));
                similar_items.len() as u32 - 1
            });
            selected.push((item.id.clone(), group));
        }
        selected.sort_unstable();
        selected.dedup_by(|left, right| left.0 == right.0);
        let (ids, similar_of) = selected.into_iter().unzip();
        Self { ids, similar_of, similar_items }
    }

    /// Id of the cold-start item at an index.
    pub(super) fn id(&self, index: usize) -> Option<&ItemId> {
        self.ids.get(index)
    }

    /// Index of a cold-start item.
    pub(super) fn index(&self, id: &str) -> Option<usize> {
        self.ids.binary_search_by(|known| known.as_str().cmp(id)).ok()
    }

    /// Known items that a cold-start item is similar to.
    pub(super) fn similar_items(&self, index: usize) -> &[u32] {
        self.similar_of.get(index).map_or(&[], |group| &self.similar_items[*group as usize])
    }

    /// Appends the scores of all cold-start items to those of known items, without the `repeat` part of the latter.
    pub(super) fn score(&self, repeat: &[(u32, f32)], scores: &mut Vec<f32>) {
        let repeat: HashMap<u32, f32> = repeat.iter().copied().collect();
        let mut means: Vec<f32> = Vec::with_capacity(self.similar_items.len());
        for items in &self.similar_items {
            let values = items
                .iter()
                .map(|item| scores[*item as usize] - repeat.get(item).copied().unwrap_or_default());
            means.push(values.sum::<f32>() / items.len().max(1) as f32);
        }
        scores.extend(self.similar_of.iter().map(|group| means[*group as usize]));
    }

    /// Checks all indices against a recommender of `items` items.
    pub(super) fn check(&self, items: usize) -> Result<(), RecommenderError> {
        let is_sound = self.ids.is_sorted()
            && self.ids.len() == self.similar_of.len()
            && self.similar_of.iter().all(|group| (*group as usize) < self.similar_items.len())
            && self.similar_items.iter().flatten().all(|item| (*item as usize) < items);
        if is_sound {
            Ok(())
        } else {
            Err(RecommenderError::Damaged("cold-start items without similar items".to_owned()))
        }
    }
}

impl ItemDescription {
    /// Groups of similar items that the item belongs to, the narrowest first.
    fn kinds(&self) -> impl Iterator<Item = CategoryBrand<'_>> {
        let category = Some(&*self.category).filter(|category| !category.is_empty());
        let brand = Some(&*self.brand).filter(|brand| !brand.is_empty());
        let both = category.zip(brand).map(|(category, brand)| (category, Some(brand)));
        both.into_iter().chain(category.map(|category| (category, None)))
    }
}

/// Evenly spread selection of at most [`SIMILAR_ITEMS_MAX`] indices.
fn spread(all: &[u32]) -> Vec<u32> {
    let mut all = all.to_vec();
    all.sort_unstable();
    let count = all.len().min(SIMILAR_ITEMS_MAX);
    (0..count).map(|index| all[index * all.len() / count]).collect()
}

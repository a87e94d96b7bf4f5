//! Things that nobody had yet, and what they are like: the things of the same category and brand, or of the same category where those are
//! too few. In come scores of what is known, out go scores of newcomers: what is like a newcomer is worth on average, without what
//! the shopper had of it before.

use super::recommender::RecommenderError;
use portrait_profile::ItemId;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// So many known things of a kind must there be to tell what a newcomer of it is worth.
const SIMILAR_ITEMS_MIN: usize = 5;
/// So many of a kind are asked at most; of more, some that are spread evenly over all.
const SIMILAR_ITEMS_MAX: usize = 64;

/// What the catalogue says of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemDescription {
    /// Which one.
    pub id: ItemId,
    /// Its category; empty if unknown.
    pub category: Box<str>,
    /// Its brand; empty if unknown.
    pub brand: Box<str>,
}

/// Newcomers and their kin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ColdStartItems {
    /// In their order.
    ids: Vec<ItemId>,
    /// The place of each one's kin in `kin`.
    similar_of: Vec<u32>,
    /// Numbers of known things of one kind.
    similar_items: Vec<Vec<u32>>,
}

/// A category, and a brand or none.
type CategoryBrand<'a> = (&'a str, Option<&'a str>);

impl ColdStartItems {
    /// Those of a catalogue that have no number and are like some that have.
    pub(super) fn new(catalogue: &[ItemDescription], number: impl Fn(&str) -> Option<u32>) -> Self {
        let mut known: HashMap<CategoryBrand<'_>, Vec<u32>> = HashMap::new();
        for item in catalogue {
            if let Some(number) = number(item.id.as_str()) {
                item.kinds().for_each(|kind| known.entry(kind).or_default().push(number));
            }
        }
        let mut places: HashMap<CategoryBrand<'_>, u32> = HashMap::new();
        let (mut found, mut kin) = (Vec::new(), Vec::new());
        for item in catalogue.iter().filter(|item| number(item.id.as_str()).is_none()) {
            let enough = |kind: &CategoryBrand<'_>| {
                known.get(kind).is_some_and(|known| known.len() >= SIMILAR_ITEMS_MIN)
            };
            let Some(kind) = item.kinds().find(enough) else { continue };
            let place = *places.entry(kind).or_insert_with(|| {
                kin.push(spread(&known[&kind]));
                kin.len() as u32 - 1
            });
            found.push((item.id.clone(), place));
        }
        found.sort_unstable();
        found.dedup_by(|one, other| one.0 == other.0);
        let (ids, kin_of) = found.into_iter().unzip();
        Self { ids, similar_of: kin_of, similar_items: kin }
    }

    /// The newcomer of a place.
    pub(super) fn id(&self, place: usize) -> Option<&ItemId> {
        self.ids.get(place)
    }

    /// The place of a newcomer.
    pub(super) fn index(&self, id: &str) -> Option<usize> {
        self.ids.binary_search_by(|known| known.as_str().cmp(id)).ok()
    }

    /// What a newcomer is like.
    pub(super) fn similar_items(&self, place: usize) -> &[u32] {
        self.similar_of.get(place).map_or(&[], |kin| &self.similar_items[*kin as usize])
    }

    /// Adds the scores of all newcomers to those of known things, of which `own` is what the shopper had before.
    pub(super) fn score(&self, own: &[(u32, f32)], scores: &mut Vec<f32>) {
        let own: HashMap<u32, f32> = own.iter().copied().collect();
        let worth = |thing: &u32| scores[*thing as usize] - own.get(thing).copied().unwrap_or_default();
        let mean = |kin: &Vec<u32>| kin.iter().map(worth).sum::<f32>() / kin.len().max(1) as f32;
        let means: Vec<f32> = self.similar_items.iter().map(mean).collect();
        scores.extend(self.similar_of.iter().map(|kin| means[*kin as usize]));
    }

    /// Whether it is of a recommender that knows so many things.
    pub(super) fn check(&self, things: usize) -> Result<(), RecommenderError> {
        let sound = self.ids.is_sorted()
            && self.ids.len() == self.similar_of.len()
            && self.similar_of.iter().all(|kin| (*kin as usize) < self.similar_items.len())
            && self.similar_items.iter().flatten().all(|thing| (*thing as usize) < things);
        if sound { Ok(()) } else { Err(RecommenderError::Damaged("newcomers without kin".to_owned())) }
    }
}

impl ItemDescription {
    /// What it is of a kind with, the closest first.
    fn kinds(&self) -> impl Iterator<Item = CategoryBrand<'_>> {
        let category = Some(&*self.category).filter(|category| !category.is_empty());
        let brand = Some(&*self.brand).filter(|brand| !brand.is_empty());
        let both = category.zip(brand).map(|(category, brand)| (category, Some(brand)));
        both.into_iter().chain(category.map(|category| (category, None)))
    }
}

/// Some of many, spread evenly.
fn spread(all: &[u32]) -> Vec<u32> {
    let mut all = all.to_vec();
    all.sort_unstable();
    let count = all.len().min(SIMILAR_ITEMS_MAX);
    (0..count).map(|place| all[place * all.len() / count]).collect()
}

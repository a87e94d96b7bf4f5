//! What a shopper may want next: the profile as it is now, read by the newest model. In come a shopper and a wish, out go items and
//! why. Nothing is kept between two answers.

use crate::error::Error;
use crate::read::{self, Terms};
use crate::service::Shared;
use bytes::Bytes;
use portrait_learning::prediction::recommend::{Items, Part, Past, Recommended};
use portrait_profile::{ActionKind, CatalogueItem, Profile, UserId};
use portrait_proto::v1;
use std::collections::HashSet;

/// With wishes that the catalogue has to say about, so many of the best items are looked at.
const LOOKED_AT: usize = 4_096;
/// How many items of the catalogue are read at a time.
const PAGE_ITEMS: usize = 256;

/// Why nothing may be known of items.
const NO_ITEMS: &str =
    "shoppers must have items in their profiles, and model.pasts_max be above 0, when a model is trained";

/// What is to be recommended.
pub(crate) struct Wish {
    /// How many items, at least 1.
    pub(crate) count: usize,
    /// Whether what was bought is left out.
    pub(crate) exclude_bought: bool,
    /// Whether all of the newest items are left out.
    pub(crate) exclude_recent: bool,
    /// Of which categories; of any if there are none.
    pub(crate) categories: HashSet<String>,
    pub(crate) price_min: Option<f64>,
    pub(crate) price_max: Option<f64>,
}

impl Wish {
    fn asks_the_catalogue(&self) -> bool {
        !self.categories.is_empty() || self.price_min.is_some() || self.price_max.is_some()
    }

    fn suits(&self, item: Option<&CatalogueItem>) -> bool {
        let Some(item) = item else { return false };
        let category = self.categories.is_empty() || self.categories.contains(&*item.category);
        let above = self.price_min.is_none_or(|least| item.price.is_some_and(|price| price >= least));
        let below = self.price_max.is_none_or(|most| item.price.is_some_and(|price| price <= most));
        category && above && below
    }
}

/// Recommends.
pub(crate) async fn recommend(
    shared: &Shared,
    user_id: UserId,
    wish: &Wish,
    terms: &Terms,
) -> Result<v1::RecommendResponse, Error> {
    let model = shared.served().ok_or(Error::NoModel)?;
    let items = model.learned().items.as_ref().ok_or(Error::NotLearned { remedy: NO_ITEMS })?;
    let profile = match read::stored_at(shared, &user_id, terms).await {
        Ok((profile, _)) => Some(profile),
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let segment = profile.as_ref().and_then(|profile| model.place_of(profile));
    let past = profile.as_ref().map(|profile| items.past(profile, segment)).unwrap_or_default();
    let left_out = profile.as_ref().map(|profile| left_out(profile, items, wish)).unwrap_or_default();
    let found = ranked(shared, items, &past, &left_out, wish).await?;
    Ok(v1::RecommendResponse {
        items: found.into_iter().filter_map(|found| told(items, found)).collect(),
        profile_version: profile.map_or(0, |profile| profile.version().get()),
        model_version: model.version.get(),
    })
}

/// The best items that pass the wish, best first.
async fn ranked(
    shared: &Shared,
    items: &Items,
    past: &Past,
    left_out: &HashSet<u32>,
    wish: &Wish,
) -> Result<Vec<Recommended>, Error> {
    let allowed = |thing: u32| !left_out.contains(&thing);
    if !wish.asks_the_catalogue() {
        return Ok(items.recommend(past, wish.count, allowed));
    }
    let mut found = Vec::with_capacity(wish.count);
    for page in items.ranked(past, LOOKED_AT, allowed).chunks(PAGE_ITEMS) {
        let ids: Vec<Bytes> = page
            .iter()
            .filter_map(|thing| items.id(*thing))
            .map(|id| Bytes::copy_from_slice(id.as_str().as_bytes()))
            .collect();
        for (thing, bytes) in page.iter().zip(shared.store.items(&ids).await?) {
            let item = bytes.and_then(|bytes| CatalogueItem::decode(&bytes).ok());
            if wish.suits(item.as_ref()) && found.len() < wish.count {
                found.push(*thing);
            }
        }
        if found.len() == wish.count {
            break;
        }
    }
    Ok(items.explained(past, &found))
}

fn left_out(profile: &Profile, items: &Items, wish: &Wish) -> HashSet<u32> {
    let recent = profile.recent_items();
    let left_out =
        recent.filter(|item| wish.exclude_recent || wish.exclude_bought && item.kind == ActionKind::Purchase);
    left_out.filter_map(|item| items.number(item.item_id.as_str())).collect()
}

fn told(items: &Items, found: Recommended) -> Option<v1::Recommendation> {
    let because = found.because.and_then(|thing| items.id(thing));
    let reason = |(part, adds): (Part, f32)| v1::RecommendationReason {
        part: part_to_wire(part).into(),
        contribution: adds.into(),
    };
    Some(v1::Recommendation {
        item_id: items.id(found.thing)?.as_str().to_owned(),
        score: found.score.into(),
        reasons: found.parts.into_iter().map(reason).collect(),
        because_item_id: because.map_or_else(String::new, |id| id.as_str().to_owned()),
    })
}

fn part_to_wire(part: Part) -> v1::RecommendationPart {
    match part {
        Part::Own => v1::RecommendationPart::Own,
        Part::Together => v1::RecommendationPart::Together,
        Part::Next => v1::RecommendationPart::Next,
        Part::Latent => v1::RecommendationPart::Latent,
        Part::Segment => v1::RecommendationPart::Segment,
        Part::Popular => v1::RecommendationPart::Popular,
        Part::Lately => v1::RecommendationPart::Lately,
    }
}

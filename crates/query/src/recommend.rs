//! Recommendations: the current profile, evaluated by the active model. Input: a user and a query. Output: items with
//! reasons; for unknown users popular items. No state is kept between requests.

use crate::context::QueryContext;
use crate::error::Error;
use crate::read::{self, ReadOptions};
use bytes::Bytes;
use portrait_learning::prediction::recommend::{ItemRecommender, ScorePart, History, Recommended};
use portrait_profile::{ActionKind, CatalogueItem, Profile, UserId};
use portrait_proto::v1;
use std::collections::HashSet;

/// Number of best items checked against the catalogue if the query filters by category or price. Bounds the catalogue
/// reads of a filter that matches almost nothing.
const CANDIDATES_MAX: usize = 4_096;
/// Number of catalogue items read together.
const PAGE_ITEMS: usize = 256;

/// Remedy if the model has no recommender.
const NO_ITEMS: &str =
    "train a model when profiles have items and model.histories_max is above 0";

/// Validated recommendation query of a request.
pub(crate) struct RecommendQuery {
    /// Number of items, at least 1.
    pub(crate) count: usize,
    /// Excludes items that the user has purchased.
    pub(crate) exclude_bought: bool,
    /// Excludes all recent items of the profile.
    pub(crate) exclude_recent: bool,
    /// Allowed categories; empty means all.
    pub(crate) categories: HashSet<String>,
    pub(crate) price_min: Option<f64>,
    pub(crate) price_max: Option<f64>,
}

impl RecommendQuery {
    fn needs_catalogue(&self) -> bool {
        !self.categories.is_empty() || self.price_min.is_some() || self.price_max.is_some()
    }

    fn matches(&self, item: Option<&CatalogueItem>) -> bool {
        let Some(item) = item else { return false };
        let category = self.categories.is_empty() || self.categories.contains(&*item.category);
        let above = self.price_min.is_none_or(|least| item.price.is_some_and(|price| price >= least));
        let below = self.price_max.is_none_or(|most| item.price.is_some_and(|price| price <= most));
        category && above && below
    }
}

/// Recommends items to a user.
pub(crate) async fn recommend(
    shared: &QueryContext,
    user_id: UserId,
    wish: &RecommendQuery,
    terms: &ReadOptions,
) -> Result<v1::RecommendResponse, Error> {
    let model = shared.served()?;
    let items = model.predictors().items.as_ref().ok_or(Error::NotLearned { remedy: NO_ITEMS })?;
    let profile = match read::stored_at(shared, &user_id, terms).await {
        Ok((profile, _)) => Some(profile),
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let segment = profile.as_ref().and_then(|profile| model.segment_index_of(profile));
    let past = profile.as_ref().map(|profile| items.history(profile, segment)).unwrap_or_default();
    let left_out = profile.as_ref().map(|profile| excluded_items(profile, items, wish)).unwrap_or_default();
    let found = ranked(shared, items, &past, &left_out, wish).await?;
    Ok(v1::RecommendResponse {
        items: found.into_iter().filter_map(|found| to_wire(items, found)).collect(),
        profile_version: profile.map_or(0, |profile| profile.version().get()),
        model_version: model.version.get(),
    })
}

/// Returns the best items that match the query, best first.
async fn ranked(
    shared: &QueryContext,
    items: &ItemRecommender,
    past: &History,
    left_out: &HashSet<u32>,
    wish: &RecommendQuery,
) -> Result<Vec<Recommended>, Error> {
    let allowed = |thing: u32| !left_out.contains(&thing);
    if !wish.needs_catalogue() {
        return Ok(items.recommend(past, wish.count, allowed));
    }
    let mut found = Vec::with_capacity(wish.count);
    for page in items.ranked(past, CANDIDATES_MAX, allowed).chunks(PAGE_ITEMS) {
        let ids: Vec<Bytes> = page
            .iter()
            .filter_map(|thing| items.id(*thing))
            .map(|id| Bytes::copy_from_slice(id.as_str().as_bytes()))
            .collect();
        for (thing, bytes) in page.iter().zip(shared.store.items(&ids).await?) {
            let item = bytes.and_then(|bytes| CatalogueItem::decode(&bytes).ok());
            if wish.matches(item.as_ref()) && found.len() < wish.count {
                found.push(*thing);
            }
        }
        if found.len() == wish.count {
            break;
        }
    }
    Ok(items.explained(past, &found))
}

fn excluded_items(profile: &Profile, items: &ItemRecommender, wish: &RecommendQuery) -> HashSet<u32> {
    let recent = profile.recent_items();
    let left_out =
        recent.filter(|item| wish.exclude_recent || wish.exclude_bought && item.kind == ActionKind::Purchase);
    left_out.filter_map(|item| items.index(item.item_id.as_str())).collect()
}

fn to_wire(items: &ItemRecommender, found: Recommended) -> Option<v1::Recommendation> {
    let because = found.because_item.and_then(|thing| items.id(thing));
    let reason = |(part, adds): (ScorePart, f32)| v1::RecommendationReason {
        part: part_to_wire(part).into(),
        contribution: adds.into(),
    };
    Some(v1::Recommendation {
        item_id: items.id(found.item)?.as_str().to_owned(),
        score: found.score.into(),
        reasons: found.parts.into_iter().map(reason).collect(),
        because_item_id: because.map_or_else(String::new, |id| id.as_str().to_owned()),
    })
}

fn part_to_wire(part: ScorePart) -> v1::RecommendationPart {
    match part {
        ScorePart::Repeat => v1::RecommendationPart::Repeat,
        ScorePart::Cooccurrence => v1::RecommendationPart::Cooccurrence,
        ScorePart::Sequence => v1::RecommendationPart::Sequence,
        ScorePart::Latent => v1::RecommendationPart::Latent,
        ScorePart::Segment => v1::RecommendationPart::Segment,
        ScorePart::Popular => v1::RecommendationPart::Popular,
        ScorePart::Trending => v1::RecommendationPart::Trending,
    }
}

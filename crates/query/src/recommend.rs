//! Recommendations: the current profile, evaluated by the active model. Input: a user and a query. Output: items with
//! reasons; for unknown users popular items. No state is kept between requests.

use crate::context::QueryContext;
use crate::error::Error;
use crate::read::{self, ReadOptions};
use bytes::Bytes;
use portrait_learning::prediction::recommend::{History, ItemRecommender, Recommended, ScorePart};
use portrait_profile::{CatalogueItem, ItemState, Profile, RecentItem, UserId, label_key};
use portrait_proto::v1;
use std::collections::HashSet;

/// Number of best items checked against the catalogue. Bounds the catalogue reads of a filter that matches almost nothing.
const CANDIDATES_MAX: usize = 4_096;
/// Number of best items beyond the requested ones that are checked first if the query has no filter: only items that cannot be
/// bought are left out then, and ranking 4,096 items takes several times as long.
const SPARE_CANDIDATES: usize = 32;
/// Number of catalogue items read together.
const PAGE_ITEMS: usize = 256;

/// Remedy if the model has no recommender.
const NO_ITEMS: &str = "train a model when profiles have items and model.histories_max is above 0";

/// Validated recommendation query of a request.
pub(crate) struct RecommendQuery {
    /// Number of items, at least 1.
    pub(crate) count: usize,
    /// Excludes items that the user has purchased.
    pub(crate) exclude_purchased: bool,
    /// Excludes all recent items of the profile.
    pub(crate) exclude_recent: bool,
    /// Allowed categories by [`label_key`]; empty means all.
    pub(crate) categories: HashSet<String>,
    pub(crate) price_min: Option<f64>,
    pub(crate) price_max: Option<f64>,
}

impl RecommendQuery {
    fn has_filter(&self) -> bool {
        !self.categories.is_empty() || self.price_min.is_some() || self.price_max.is_some()
    }

    fn matches(&self, item: Option<&CatalogueItem>) -> bool {
        // An item that the catalogue does not have can be bought, but cannot be shown to match a filter.
        let Some(item) = item else { return !self.has_filter() };
        let category = self.categories.is_empty() || self.categories.contains(&*label_key(&item.category));
        let above = self.price_min.is_none_or(|min| item.price.is_some_and(|price| price >= min));
        let below = self.price_max.is_none_or(|max| item.price.is_some_and(|price| price <= max));
        item.available && category && above && below
    }
}

/// Recommends items to a user.
pub(crate) async fn recommend(
    shared: &QueryContext,
    user_id: UserId,
    query: &RecommendQuery,
    options: &ReadOptions,
) -> Result<v1::RecommendResponse, Error> {
    let model = shared.served()?;
    let items = model.predictors().items.as_ref().ok_or(Error::NotTrained { remedy: NO_ITEMS })?;
    // An unknown user is no error: an empty history is recommended popular items.
    let profile = match read::stored_at(shared, &user_id, options).await {
        Ok((profile, _)) => Some(profile),
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let segment = profile.as_ref().and_then(|profile| model.segment_index_of(profile));
    let history = profile.as_ref().map(|profile| items.history(profile, segment)).unwrap_or_default();
    let excluded = profile.as_ref().map(|profile| excluded_items(profile, items, query)).unwrap_or_default();
    let recommended = ranked(shared, items, &history, &excluded, query).await?;
    Ok(v1::RecommendResponse {
        items: recommended.into_iter().filter_map(|recommended| to_wire(items, recommended)).collect(),
        profile_version: profile.map_or(0, |profile| profile.version().get()),
        model_version: model.version.get(),
    })
}

/// Returns the best items that match the query, best first.
async fn ranked(
    shared: &QueryContext,
    items: &ItemRecommender,
    history: &History,
    excluded: &HashSet<u32>,
    query: &RecommendQuery,
) -> Result<Vec<Recommended>, Error> {
    let allowed = |item: u32| !excluded.contains(&item);
    let first = if query.has_filter() { CANDIDATES_MAX } else { query.count + SPARE_CANDIDATES };
    let candidates = items.ranked(history, first, allowed);
    let mut found = matching(shared, items, &candidates, query).await?;
    if found.len() < query.count && candidates.len() == first && first < CANDIDATES_MAX {
        found = matching(shared, items, &items.ranked(history, CANDIDATES_MAX, allowed), query).await?;
    }
    Ok(items.explained(history, &found))
}

/// Returns the first candidates that match the query by the catalogue, at most as many as it asks for.
async fn matching(
    shared: &QueryContext,
    items: &ItemRecommender,
    candidates: &[u32],
    query: &RecommendQuery,
) -> Result<Vec<u32>, Error> {
    let mut found = Vec::with_capacity(query.count);
    for page in candidates.chunks(PAGE_ITEMS) {
        let ids: Vec<Bytes> = page
            .iter()
            .filter_map(|item| items.id(*item))
            .map(|id| Bytes::copy_from_slice(id.as_str().as_bytes()))
            .collect();
        for (item, bytes) in page.iter().zip(shared.store.items(&ids).await?) {
            let entry = bytes.and_then(|bytes| CatalogueItem::decode(&bytes).ok());
            if query.matches(entry.as_ref()) && found.len() < query.count {
                found.push(*item);
            }
        }
        // Candidates come best first, so the rest need not be read.
        if found.len() == query.count {
            break;
        }
    }
    Ok(found)
}

fn excluded_items(profile: &Profile, items: &ItemRecommender, query: &RecommendQuery) -> HashSet<u32> {
    let is_excluded = |item: &&RecentItem| {
        // A user who gave an item back does not want it again, for any query.
        item.is_rejected()
            || query.exclude_recent
            || query.exclude_purchased && item.state() == ItemState::Kept
    };
    let excluded = profile.recent_items().filter(is_excluded);
    excluded.filter_map(|item| items.index(item.item_id.as_str())).collect()
}

fn to_wire(items: &ItemRecommender, recommended: Recommended) -> Option<v1::Recommendation> {
    let because = recommended.because_item.and_then(|item| items.id(item));
    Some(v1::Recommendation {
        item_id: items.id(recommended.item)?.as_str().to_owned(),
        score: recommended.score.into(),
        reasons: recommended
            .parts
            .into_iter()
            .map(|(part, contribution)| v1::RecommendationReason {
                part: part_to_wire(part).into(),
                contribution: contribution.into(),
            })
            .collect(),
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

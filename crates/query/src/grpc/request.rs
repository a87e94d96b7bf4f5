//! Request validation. Input: the fields of a request. Output: domain types, or an error that names the field.
//! Nothing is read from the store here.

use crate::context::QueryContext;
use crate::read::ReadOptions;
use crate::recommend::RecommendQuery;
use crate::watch::{ResumeToken, SubscriptionFilter, WatchFrom};
use portrait_profile::{ScoreTarget, SegmentId, label_key};
use portrait_proto::action::target_from_wire;
use portrait_proto::request::{self, BATCH_MAX, CATEGORIES_MAX, Shard, ValidationError};
use portrait_proto::token::ConsistencyToken;
use portrait_proto::v1::{ErrorReason, RecommendRequest, WatchProfileChangesRequest, WatchStart};
use portrait_runtime::deadline;
use portrait_store::Layout;
use std::collections::HashSet;
use tonic::metadata::MetadataMap;

/// Maximum of every `count` field; bounds the work of one request.
const COUNT_MAX: u32 = 100;
/// Default of `RecommendRequest.count`.
const RECOMMENDED_DEFAULT: usize = 20;
/// Default of `ScoreRequest.reasons`.
pub(super) const REASONS_DEFAULT: usize = 5;
/// Default of `FindSimilarUsersRequest.count`.
pub(super) const SIMILAR_DEFAULT: usize = 10;

/// Parses a segment id.
pub(super) fn segment_id(field: &str, text: &str) -> Result<SegmentId, ValidationError> {
    if text.is_empty() {
        return Err(ValidationError::new(ErrorReason::EmptyId, field, "is empty"));
    }
    SegmentId::parse(text).ok_or_else(|| {
        let message =
            format!("{text:?} is not a segment id: ids look like \"s7\", ListSegments returns them");
        ValidationError::new(ErrorReason::SegmentNotFound, field, message)
    })
}

/// Parses a list of segment ids.
pub(super) fn segment_ids(texts: &[String]) -> Result<HashSet<SegmentId>, ValidationError> {
    request::at_most("segment_ids", texts.len(), BATCH_MAX)?;
    let texts = texts.iter().enumerate();
    texts.map(|(index, text)| segment_id(&format!("segment_ids[{index}]"), text)).collect()
}

/// Validates a count; 0 means `default`.
pub(super) fn count(field: &str, requested: u32, default: usize) -> Result<usize, ValidationError> {
    match requested {
        0 => Ok(default),
        1..=COUNT_MAX => Ok(requested as usize),
        _ => {
            let message = format!("is {requested}: at most {COUNT_MAX} are allowed");
            Err(ValidationError::new(ErrorReason::OutOfRange, field, message))
        }
    }
}

/// Parses the target of a score.
pub(super) fn target(number: i32) -> Result<ScoreTarget, ValidationError> {
    target_from_wire(number).ok_or_else(|| {
        let message = format!("{number} is not a target: send a value of the enum ScoreTarget");
        ValidationError::new(ErrorReason::UnknownTarget, "target", message)
    })
}

/// Validates a recommendation request.
pub(super) fn recommend_query(request: &RecommendRequest) -> Result<RecommendQuery, ValidationError> {
    let count = count("count", request.count, RECOMMENDED_DEFAULT)?;
    request::at_most("categories", request.categories.len(), CATEGORIES_MAX)?;
    for (field, price) in [("price_min", request.price_min), ("price_max", request.price_max)] {
        // NaN compares false with every price and would silently match nothing.
        if price.is_some_and(f64::is_nan) {
            return Err(ValidationError::new(ErrorReason::NotFinite, field, "is not a number".to_owned()));
        }
    }
    Ok(RecommendQuery {
        count,
        exclude_purchased: request.exclude_bought,
        exclude_recent: request.exclude_recent,
        categories: request.categories.iter().map(|name| label_key(name).into_owned()).collect(),
        price_min: request.price_min,
        price_max: request.price_max,
    })
}

/// Validates the options of a read.
pub(super) fn read_options(
    shared: &QueryContext,
    read_after: &[u8],
    read_at: Option<prost_types::Timestamp>,
    caller: &MetadataMap,
) -> Result<ReadOptions, ValidationError> {
    let config = &shared.config;
    let read_after = ConsistencyToken::decode(read_after, shared.store.layout().pseudonym_key)
        .map_err(|error| ValidationError::new(ErrorReason::BadToken, "read_after", error.to_string()))?;
    let read_at = request::timestamp("read_at", read_at)?;
    // A tenth of the caller's deadline is left for the read and the way back, so that the caller gets our error
    // rather than its own timeout.
    let wait = deadline::from_headers(caller.as_ref())
        .map_or(config.read_after_wait, |deadline| deadline - deadline / 10);
    Ok(ReadOptions { read_after, read_at, wait: wait.min(config.read_after_wait_max) })
}

/// Parses the start of a subscription; a resume token overrides `start`.
pub(super) fn watch_start(
    request: &WatchProfileChangesRequest,
    shard: Shard,
    layout: Layout,
) -> Result<WatchFrom, ValidationError> {
    if !request.resume_token.is_empty() {
        let Layout { partitions, pseudonym_key, .. } = layout;
        let token =
            ResumeToken::decode(&request.resume_token, partitions, pseudonym_key).map_err(|error| {
                ValidationError::new(ErrorReason::BadToken, "resume_token", error.to_string())
            })?;
        // The token has positions of its own shard only: resumed elsewhere it would skip partitions.
        if token.shard != shard {
            let message = format!(
                "the token was issued to shard {} of {}, not to {} of {}: resume it there, or start without it",
                token.shard.index, token.shard.count, shard.index, shard.count
            );
            return Err(ValidationError::new(ErrorReason::ConflictingFields, "shard_index", message));
        }
        return Ok(WatchFrom::Resume(token));
    }
    match WatchStart::try_from(request.start) {
        Ok(WatchStart::Unspecified | WatchStart::Now) => Ok(WatchFrom::Now),
        Ok(WatchStart::Earliest) => Ok(WatchFrom::Earliest),
        Ok(WatchStart::Snapshot) => Ok(WatchFrom::Snapshot),
        Err(_) => {
            let message = format!("{} is not a known value of WatchStart", request.start);
            Err(ValidationError::new(ErrorReason::OutOfRange, "start", message))
        }
    }
}

/// Validates the filter of a subscription.
pub(super) fn subscription_filter(
    shard: Shard,
    request: &WatchProfileChangesRequest,
) -> Result<SubscriptionFilter, ValidationError> {
    Ok(SubscriptionFilter {
        shard,
        users: request::user_ids("user_ids", &request.user_ids)?.into_iter().collect(),
        segments: segment_ids(&request.segment_ids)?,
        segment_changes_only: request.segment_changes_only,
        include_profile: request.include_profile,
    })
}

//! What callers ask for, checked. In come the fields of a request, out go the nouns of this room, or a refusal that names the
//! field at fault. Nothing is looked up here.

use crate::config::ValidConfig;
use crate::read::Terms;
use crate::recommend::Wish;
use crate::watch::{ResumeToken, Start, Wish as Subscription};
use portrait_profile::{PartitionCount, SegmentId, Target};
use portrait_proto::action::target_from_wire;
use portrait_proto::request::{self, BATCH_MAX, Refusal, Shard};
use portrait_proto::token::ConsistencyToken;
use portrait_proto::v1::{ErrorReason, RecommendRequest, WatchProfileChangesRequest, WatchStart};
use portrait_runtime::deadline;
use std::collections::HashSet;
use tonic::metadata::MetadataMap;

/// How many of anything may be asked for.
const COUNT_MAX: u32 = 100;
/// How many are given if nobody says.
const RECOMMENDED_USUAL: usize = 20;
pub(super) const REASONS_USUAL: usize = 5;
pub(super) const SIMILAR_USUAL: usize = 10;
/// How many categories a wish may name.
const CATEGORIES_MAX: usize = 100;

/// An id of a segment.
pub(super) fn segment_id(field: &str, text: &str) -> Result<SegmentId, Refusal> {
    if text.is_empty() {
        return Err(Refusal::new(ErrorReason::EmptyId, field, "is empty"));
    }
    SegmentId::parse(text).ok_or_else(|| {
        let message = format!("{text:?} is no segment: they are named as \"s7\", ListSegments has them");
        Refusal::new(ErrorReason::SegmentNotFound, field, message)
    })
}

/// The ids of some segments.
pub(super) fn segment_ids(texts: &[String]) -> Result<HashSet<SegmentId>, Refusal> {
    request::at_most("segment_ids", texts.len(), BATCH_MAX)?;
    let texts = texts.iter().enumerate();
    texts.map(|(index, text)| segment_id(&format!("segment_ids[{index}]"), text)).collect()
}

/// How many are asked for: the usual number if nobody says.
pub(super) fn count(field: &str, asked: u32, usual: usize) -> Result<usize, Refusal> {
    match asked {
        0 => Ok(usual),
        1..=COUNT_MAX => Ok(asked as usize),
        _ => {
            let message = format!("{asked} are asked for, {COUNT_MAX} are allowed");
            Err(Refusal::new(ErrorReason::OutOfRange, field, message))
        }
    }
}

/// What a score foretells.
pub(super) fn target(number: i32) -> Result<Target, Refusal> {
    target_from_wire(number).ok_or_else(|| {
        let message = format!("{number} is no target: send one of the enum ScoreTarget");
        Refusal::new(ErrorReason::UnknownTarget, "target", message)
    })
}

/// What is to be recommended.
pub(super) fn wish(request: RecommendRequest) -> Result<Wish, Refusal> {
    let count = count("count", request.count, RECOMMENDED_USUAL)?;
    request::at_most("categories", request.categories.len(), CATEGORIES_MAX)?;
    for (field, price) in [("price_min", request.price_min), ("price_max", request.price_max)] {
        if price.is_some_and(f64::is_nan) {
            return Err(Refusal::new(ErrorReason::NotFinite, field, "is not a number".to_owned()));
        }
    }
    Ok(Wish {
        count,
        exclude_bought: request.exclude_bought,
        exclude_recent: request.exclude_recent,
        categories: request.categories.into_iter().collect(),
        price_min: request.price_min,
        price_max: request.price_max,
    })
}

/// What holds for every profile of a read.
pub(super) fn terms(
    config: &ValidConfig,
    read_after: &[u8],
    read_at: Option<prost_types::Timestamp>,
    caller: &MetadataMap,
) -> Result<Terms, Refusal> {
    let read_after = ConsistencyToken::decode(read_after)
        .map_err(|bad| Refusal::new(ErrorReason::BadToken, "read_after", bad.to_string()))?;
    let read_at = request::moment("read_at", read_at)?;
    // A tenth of the caller's time is left for the read itself and the way back, so that the answer says what happened.
    let wait = deadline::of_caller(caller.as_ref())
        .map_or(config.read_after_wait, |deadline| deadline - deadline / 10);
    Ok(Terms { read_after, read_at, wait: wait.min(config.read_after_wait_max) })
}

/// Where a subscription begins; a token wins over `start`.
pub(super) fn start(
    request: &WatchProfileChangesRequest,
    shard: Shard,
    partitions: PartitionCount,
) -> Result<Start, Refusal> {
    if !request.resume_token.is_empty() {
        let token = ResumeToken::decode(&request.resume_token, partitions)
            .map_err(|bad| Refusal::new(ErrorReason::BadToken, "resume_token", bad.to_string()))?;
        if token.shard != shard {
            let message = format!(
                "the token was issued to shard {} of {}, not to {} of {}: resume it there, or begin anew",
                token.shard.index, token.shard.count, shard.index, shard.count
            );
            return Err(Refusal::new(ErrorReason::Contradiction, "shard_index", message));
        }
        return Ok(Start::Resume(token));
    }
    match WatchStart::try_from(request.start) {
        Ok(WatchStart::Unspecified | WatchStart::Now) => Ok(Start::Now),
        Ok(WatchStart::Earliest) => Ok(Start::Earliest),
        Ok(WatchStart::Snapshot) => Ok(Start::Snapshot),
        Err(_) => {
            let message = format!("{} is not a start that this release knows", request.start);
            Err(Refusal::new(ErrorReason::OutOfRange, "start", message))
        }
    }
}

/// Everything that a subscription is about.
pub(super) fn subscription(
    shard: Shard,
    request: &WatchProfileChangesRequest,
) -> Result<Subscription, Refusal> {
    Ok(Subscription {
        shard,
        users: request::user_ids("user_ids", &request.user_ids)?.into_iter().collect(),
        segments: segment_ids(&request.segment_ids)?,
        moves_only: request.segment_changes_only,
        include_profile: request.include_profile,
    })
}

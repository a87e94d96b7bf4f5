//! What callers ask for, checked. In come the fields of a request, out go the nouns of this room, or a refusal that names the
//! field at fault. Nothing is looked up here.

use crate::config::ValidConfig;
use crate::error::Error;
use crate::read::Terms;
use crate::recommend::Wish;
use crate::watch::{ResumeToken, Shard, Start};
use portrait_profile::{PartitionCount, SegmentId, Target, UserId};
use portrait_proto::action::target_from_wire;
use portrait_proto::token::ConsistencyToken;
use portrait_proto::v1::{ErrorReason, RecommendRequest, WatchProfileChangesRequest, WatchStart};
use portrait_proto::{fault, time};
use std::collections::HashSet;
use std::time::Duration;
use tonic::metadata::MetadataMap;

/// How many ids one request may have.
const USERS_MAX: usize = 1000;
/// How many of anything may be asked for.
const COUNT_MAX: u32 = 100;
/// How many are given if nobody says.
const RECOMMENDED_USUAL: usize = 20;
pub(super) const REASONS_USUAL: usize = 5;
pub(super) const SIMILAR_USUAL: usize = 10;
/// How many categories a wish may name.
const CATEGORIES_MAX: usize = 100;

/// An id of a user.
pub(super) fn user_id(field: &str, text: &str) -> Result<UserId, Error> {
    UserId::parse(text).map_err(|fault| Error::refused(fault::reason_of(fault), field, fault.to_string()))
}

/// The ids of some users.
pub(super) fn user_ids(texts: &[String]) -> Result<Vec<UserId>, Error> {
    if texts.len() > USERS_MAX {
        let message = format!("{} users are named, {USERS_MAX} are allowed: split the request", texts.len());
        return Err(Error::refused(ErrorReason::TooMany, "user_ids", message));
    }
    texts.iter().enumerate().map(|(index, text)| user_id(&format!("user_ids[{index}]"), text)).collect()
}

/// An id of a segment.
pub(super) fn segment_id(field: &str, text: &str) -> Result<SegmentId, Error> {
    if text.is_empty() {
        return Err(Error::refused(ErrorReason::EmptyId, field, "is empty"));
    }
    SegmentId::parse(text).ok_or_else(|| {
        let message = format!("{text:?} is no segment: they are named as \"s7\", ListSegments has them");
        Error::refused(ErrorReason::SegmentNotFound, field, message)
    })
}

/// The ids of some segments.
pub(super) fn segment_ids(texts: &[String]) -> Result<HashSet<SegmentId>, Error> {
    if texts.len() > USERS_MAX {
        let message = format!("{} segments are named, {USERS_MAX} are allowed", texts.len());
        return Err(Error::refused(ErrorReason::TooMany, "segment_ids", message));
    }
    let texts = texts.iter().enumerate();
    texts.map(|(index, text)| segment_id(&format!("segment_ids[{index}]"), text)).collect()
}

/// How many are asked for: the usual number if nobody says.
pub(super) fn count(field: &str, asked: u32, usual: usize) -> Result<usize, Error> {
    match asked {
        0 => Ok(usual),
        1..=COUNT_MAX => Ok(asked as usize),
        _ => {
            let message = format!("{asked} are asked for, {COUNT_MAX} are allowed");
            Err(Error::refused(ErrorReason::OutOfRange, field, message))
        }
    }
}

/// What a score foretells.
pub(super) fn target(number: i32) -> Result<Target, Error> {
    target_from_wire(number).ok_or_else(|| {
        let message = format!("{number} is no target: send one of the enum ScoreTarget");
        Error::refused(ErrorReason::UnknownTarget, "target", message)
    })
}

/// What is to be recommended.
pub(super) fn wish(request: RecommendRequest) -> Result<Wish, Error> {
    let count = count("count", request.count, RECOMMENDED_USUAL)?;
    if request.categories.len() > CATEGORIES_MAX {
        let message =
            format!("{} categories are named, {CATEGORIES_MAX} are allowed", request.categories.len());
        return Err(Error::refused(ErrorReason::TooMany, "categories", message));
    }
    for (field, price) in [("price_min", request.price_min), ("price_max", request.price_max)] {
        if price.is_some_and(f64::is_nan) {
            return Err(Error::refused(ErrorReason::NotFinite, field, "is not a number".to_owned()));
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
    deadline: Option<Duration>,
) -> Result<Terms, Error> {
    let read_after = ConsistencyToken::decode(read_after)
        .map_err(|bad| Error::refused(ErrorReason::BadToken, "read_after", bad.to_string()))?;
    let read_at = read_at.map(|at| time::from_wire(&at)).transpose().map_err(|bad| {
        Error::refused(ErrorReason::BadTime, "read_at", format!("{bad}; leave it out for now"))
    })?;
    // A tenth of the caller's time is left for the read itself and the way back, so that the answer says what happened.
    let wait = deadline.map_or(config.read_after_wait, |deadline| deadline - deadline / 10);
    Ok(Terms { read_after, read_at, wait: wait.min(config.read_after_wait_max) })
}

/// How long the caller waits for the answer; none if it did not say, or not as gRPC has it.
pub(super) fn deadline(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// The part of the feed that is asked for.
pub(super) fn shard(request: &WatchProfileChangesRequest) -> Result<Shard, Error> {
    let count = request.shard_count.max(1);
    if request.shard_index >= count {
        let message = format!("{} is not below shard_count {count}", request.shard_index);
        return Err(Error::refused(ErrorReason::OutOfRange, "shard_index", message));
    }
    Ok(Shard { index: request.shard_index, count })
}

/// Where a subscription begins; a token wins over `start`.
pub(super) fn start(
    request: &WatchProfileChangesRequest,
    shard: Shard,
    partitions: PartitionCount,
) -> Result<Start, Error> {
    if !request.resume_token.is_empty() {
        let token = ResumeToken::decode(&request.resume_token, partitions)
            .map_err(|bad| Error::refused(ErrorReason::BadToken, "resume_token", bad.to_string()))?;
        if token.shard != shard {
            let message = format!(
                "the token was issued to shard {} of {}, not to {} of {}: resume it there, or begin anew",
                token.shard.index, token.shard.count, shard.index, shard.count
            );
            return Err(Error::refused(ErrorReason::Contradiction, "shard_index", message));
        }
        return Ok(Start::Resume(token));
    }
    match WatchStart::try_from(request.start) {
        Ok(WatchStart::Unspecified | WatchStart::Now) => Ok(Start::Now),
        Ok(WatchStart::Earliest) => Ok(Start::Earliest),
        Ok(WatchStart::Snapshot) => Ok(Start::Snapshot),
        Err(_) => {
            let message = format!("{} is not a start that this release knows", request.start);
            Err(Error::refused(ErrorReason::OutOfRange, "start", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_as_grpc_writes_it() {
        let rows = [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("", None),
            ("S", None),
            ("100000000S", None),
            ("+5S", None),
            ("5s", None),
            ("5", None),
        ];
        for (text, expected) in rows {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().expect("plain text"));
            assert_eq!(deadline(&metadata), expected, "{text:?}");
        }
        assert_eq!(deadline(&MetadataMap::new()), None);
    }
}

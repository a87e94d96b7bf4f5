//! Shortfalls of a training: for each part that is missing or less than wanted the reason and the remedy.

use crate::manifest::SEGMENTS;
use portrait_proto::v1::PartShortfall;

const MORE_VARIETY: &str = "train again when users have done different things";

/// No segments, since there are fewer users than `model.rows_min`.
pub(super) fn too_few_users(users: usize, needed: usize) -> PartShortfall {
    let reason = format!("there are {users} users, and segments need {needed}");
    shortfall(SEGMENTS, true, reason, "train again when there are more users, or lower model.rows_min")
}

/// No segments, since nothing tells the users apart.
pub(super) fn all_alike(users: usize) -> PartShortfall {
    let reason = format!("{users} users cannot be distinguished by how they shop");
    shortfall(SEGMENTS, true, reason, MORE_VARIETY)
}

/// Fewer segments than requested, or than the last model had.
pub(super) fn fewer_than_requested(found: usize, requested: usize) -> PartShortfall {
    let reason = format!("of {requested} segments only {found} could be distinguished");
    let remedy = format!("ask for at most {found} segments, or {MORE_VARIETY}");
    shortfall(SEGMENTS, false, reason, remedy)
}

/// Fewer segments than `model.segments_min`.
pub(super) fn fewer_than_tried(found: usize, segments_min: usize) -> PartShortfall {
    let reason =
        format!("only {found} segments could be distinguished, fewer than model.segments_min={segments_min}");
    shortfall(SEGMENTS, false, reason, MORE_VARIETY)
}

/// Predictor that is missing.
pub(super) fn missing(part: &str, reason: impl Into<String>, remedy: impl Into<String>) -> PartShortfall {
    shortfall(part, true, reason, remedy)
}

fn shortfall(
    part: &str,
    missing: bool,
    reason: impl Into<String>,
    remedy: impl Into<String>,
) -> PartShortfall {
    PartShortfall { part: part.to_owned(), missing, reason: reason.into(), remedy: remedy.into() }
}

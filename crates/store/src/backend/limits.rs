//! Checks of what one call carries, the same in every backend.

use crate::contract::{Commit, Limits};
use crate::error::{Error, Result};
use bytes::Bytes;

/// Checks that `actual` is at most `limit`; `what` names what is counted.
///
/// # Errors
/// `TooBig` if it is not.
pub fn within(what: &'static str, actual: usize, limit: usize) -> Result<()> {
    if actual > limit { Err(Error::TooBig { what, actual, limit }) } else { Ok(()) }
}

/// Checks that a commit is within `limits`.
///
/// # Errors
/// `TooBig` if it is not.
pub fn check_commit(commit: &Commit, limits: &Limits) -> Result<()> {
    within("a commit's number of profiles", commit.profiles.len(), limits.commit_profiles)?;
    within("a commit's number of tombstones", commit.tombstones.len(), limits.commit_profiles)?;
    let profiles = commit.profiles.iter().filter_map(|(_, value)| value.as_ref());
    let tombstones = commit.tombstones.iter().filter_map(|(_, value)| value.as_ref());
    let letters = commit.dead_letters.iter().map(|letter| &letter.record);
    let values = profiles.chain(tombstones).chain(letters).chain(&commit.changes).chain(&commit.note);
    within("a commit's size in bytes", values.map(Bytes::len).sum(), limits.commit_bytes)
}

//! Checks of the size of one call, the same in every backend.

use crate::contract::{Commit, Limits};
use crate::error::{Error, Result};
use bytes::Bytes;

/// Checks that `actual` is at most `limit`; `what` names the limited quantity for a person.
///
/// # Errors
/// `TooBig` if `actual` is greater.
pub fn within(what: &'static str, actual: usize, limit: usize) -> Result<()> {
    if actual > limit { Err(Error::TooBig { what, actual, limit }) } else { Ok(()) }
}

/// Checks that a commit is within `limits`: its profiles, its tombstones and the bytes of its values.
///
/// # Errors
/// `TooBig` if one of them is exceeded.
pub fn check_commit(commit: &Commit, limits: &Limits) -> Result<()> {
    within("a commit's number of profiles", commit.profiles.len(), limits.commit_profiles)?;
    within("a commit's number of tombstones", commit.tombstones.len(), limits.commit_profiles)?;
    let profiles = commit.profiles.iter().filter_map(|(_, value)| value.as_ref());
    let tombstones = commit.tombstones.iter().filter_map(|(_, value)| value.as_ref());
    let letters = commit.dead_letters.iter().map(|letter| &letter.record);
    // Keys and ids are left out: the limit bounds the work of one write, and the values dominate it.
    let values = profiles.chain(tombstones).chain(letters).chain(&commit.changes).chain(&commit.note);
    within("a commit's size in bytes", values.map(Bytes::len).sum(), limits.commit_bytes)
}

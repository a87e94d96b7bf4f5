//! What a store gives out in stretches: pages of scans and of the feed, and where a scan goes on.

use super::{CatalogueEntry, ProfileKey};
use crate::position::{FeedPosition, FeedSeq};
use bytes::Bytes;
use portrait_profile::Pseudonym;

/// Where a scan goes on; opaque to the caller, and valid for the life of the store's process only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanCursor(pub Bytes);

/// A stretch of a scan.
#[derive(Clone, Debug, Default)]
pub struct ProfilePage {
    /// Some profiles.
    pub profiles: Vec<(ProfileKey, Bytes)>,
    /// Where the next page begins; none after the last.
    pub next: Option<ScanCursor>,
}

/// A stretch of a scan of tombstones.
#[derive(Clone, Debug, Default)]
pub struct TombstonePage {
    /// Some tombstones.
    pub tombstones: Vec<(Pseudonym, Bytes)>,
    /// Where the next page begins; none after the last.
    pub next: Option<ScanCursor>,
}

/// A stretch of the catalogue.
#[derive(Clone, Debug, Default)]
pub struct ItemPage {
    /// Some items.
    pub items: Vec<CatalogueEntry>,
    /// Where the next page begins; none after the last.
    pub next: Option<ScanCursor>,
}

/// A stretch of a feed.
#[derive(Clone, Debug)]
pub struct FeedPage {
    /// The changes with their places, contiguous, the first right after the place asked for.
    pub changes: Vec<(FeedSeq, Bytes)>,
    /// The newest change when the page was read, for resume tokens and lag.
    pub end: FeedPosition,
    /// The oldest change that is kept: if it lies beyond the place asked for plus one, changes are lost to the caller.
    pub first: FeedSeq,
}

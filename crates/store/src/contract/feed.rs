//! Change feeds of the partitions.

use super::info::StoreInfo;
use crate::error::Result;
use crate::position::{FeedPosition, FeedSeq};
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::PartitionId;
use std::time::Duration;

/// Reads of the change feeds.
#[async_trait]
pub trait FeedStore: StoreInfo {
    /// Reads changes after `after`, at most `max_changes`. If there is none, waits up to `wait` for one and MAY return an empty
    /// page earlier. MUST return an empty page, not an error, when what follows `after` is trimmed; `first` tells.
    async fn read_feed(
        &self,
        partition: PartitionId,
        after: FeedSeq,
        max_changes: usize,
        wait: Duration,
    ) -> Result<FeedPage>;
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

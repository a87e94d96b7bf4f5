//! Change feeds of the partitions.

use super::info::StoreInfo;
use crate::error::Result;
use crate::position::{FeedPosition, FeedSeq};
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::PartitionId;
use std::time::Duration;

/// Reads of the partitions' change feeds.
#[async_trait]
pub trait FeedStore: StoreInfo {
    /// Returns changes after `after`, at most `max_changes`. Without one, waits up to `wait` for it; MAY return an empty page
    /// earlier. MUST return an empty page, not an error, if the changes after `after` are trimmed: the caller compares `first`.
    async fn read_feed(
        &self,
        partition: PartitionId,
        after: FeedSeq,
        max_changes: usize,
        wait: Duration,
    ) -> Result<FeedPage>;
}

/// Page of a change feed.
#[derive(Clone, Debug)]
pub struct FeedPage {
    /// Changes with their positions, contiguous, beginning right after the requested position.
    pub changes: Vec<(FeedSeq, Bytes)>,
    /// Newest change when the page was read, for resume tokens and lag.
    pub end: FeedPosition,
    /// Oldest change that is retained. Beyond the requested position plus one, the caller has missed changes.
    pub first: FeedSeq,
}

//! Change feeds: reads that wait for a change.

use crate::store::Embedded;
use async_trait::async_trait;
use portrait_profile::PartitionId;
use portrait_store::backend::block::ReadLimit;
use portrait_store::backend::stream::StreamKind;
use portrait_store::{FeedPage, FeedSeq, FeedStore, Position, Result};
use std::time::Duration;

#[async_trait]
impl FeedStore for Embedded {
    async fn read_feed(
        &self,
        partition: PartitionId,
        after: FeedSeq,
        max_changes: usize,
        wait: Duration,
    ) -> Result<FeedPage> {
        let cell = self.cell(partition);
        let mut state = cell.state.subscribe();
        // A timeout is not an error: the page is empty.
        let _ = tokio::time::timeout(wait, state.wait_for(|state| state.feed_end > after)).await;
        let (seq, trimmed) = {
            let state = state.borrow();
            (state.feed_end, state.feed_trimmed)
        };
        let end = Position { generation: cell.generations.feed.newest(), seq };
        let mut page = FeedPage { changes: Vec::new(), end, first: trimmed.next() };
        // Trimmed changes make an empty page, and `first` tells the caller that it missed some.
        if seq > after && after >= trimmed {
            let limit = ReadLimit { records: max_changes, bytes: usize::MAX };
            let changes = self.records(StreamKind::Feed, partition, after.get(), limit).await?;
            page.changes = changes.into_iter().map(|(seq, change)| (FeedSeq::new(seq), change)).collect();
        }
        Ok(page)
    }
}

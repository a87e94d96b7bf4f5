//! Change feeds.

use crate::read::Stretch;
use crate::store::Embedded;
use async_trait::async_trait;
use portrait_profile::PartitionId;
use portrait_store::backend::block::Room;
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
        let shelf = self.shelf(partition);
        let mut standing = shelf.standing.subscribe();
        let _ = tokio::time::timeout(wait, standing.wait_for(|standing| standing.feed_end > after)).await;
        let (seq, trimmed) = {
            let seen = standing.borrow();
            (seen.feed_end, seen.feed_trimmed)
        };
        let end = Position { generation: shelf.generations.feed.newest(), seq };
        let mut page = FeedPage { changes: Vec::new(), end, first: trimmed.next() };
        if seq > after && after >= trimmed {
            let room = Room { records: max_changes, bytes: usize::MAX };
            let changes = self.records(Stretch::Feed, partition, after.get(), room).await?;
            page.changes = changes.into_iter().map(|(seq, change)| (FeedSeq::new(seq), change)).collect();
        }
        Ok(page)
    }
}

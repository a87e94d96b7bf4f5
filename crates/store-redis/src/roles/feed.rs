//! Change feeds: reads that wait for a change.

use crate::notifier::{ChannelId, Topic};
use crate::store::RedisStore;
use async_trait::async_trait;
use portrait_profile::PartitionId;
use portrait_store::backend::block::ReadLimit;
use portrait_store::backend::stream::StreamKind;
use portrait_store::{FeedPage, FeedSeq, FeedStore, Position, Result};
use std::time::Duration;

#[async_trait]
impl FeedStore for RedisStore {
    async fn read_feed(
        &self,
        partition: PartitionId,
        after: FeedSeq,
        max_changes: usize,
        wait: Duration,
    ) -> Result<FeedPage> {
        let limit = ReadLimit { records: max_changes.max(1), bytes: usize::MAX };
        // The wait begins before the first read, so that a change between the two is not missed.
        let mut waiting = self.notifier.wait(ChannelId::of_partition(partition), Topic::Commit, wait);
        loop {
            let page = self.read_range(partition, StreamKind::Feed, after.get(), limit).await?;
            if page.end > after.get() || !waiting.changed_or_timeout().await {
                return Ok(FeedPage {
                    changes: page
                        .records
                        .into_iter()
                        .map(|(seq, change)| (FeedSeq::new(seq), change))
                        .collect(),
                    end: Position { generation: page.generation, seq: FeedSeq::new(page.end) },
                    first: FeedSeq::new(page.trimmed).next(),
                });
            }
        }
    }
}

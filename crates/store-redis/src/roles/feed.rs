//! Change feeds.

use crate::bells::{BellNo, News};
use crate::store::RedisStore;
use crate::stretches::Stretch;
use async_trait::async_trait;
use portrait_profile::PartitionId;
use portrait_store::backend::block::Room;
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
        let room = Room { records: max_changes.max(1), bytes: usize::MAX };
        let mut waiting = self.bells.wait(BellNo::of(partition), News::Commit, wait);
        loop {
            let found = self.read_stretch(partition, Stretch::Feed, after.get(), room).await?;
            if found.end > after.get() || !waiting.again().await {
                let change = |(seq, change)| (FeedSeq::new(seq), change);
                return Ok(FeedPage {
                    changes: found.records.into_iter().map(change).collect(),
                    end: Position { generation: found.generation, seq: FeedSeq::new(found.end) },
                    first: FeedSeq::new(found.trimmed).next(),
                });
            }
        }
    }
}

//! Tombstones: lookups and scans.

use crate::store::RedisStore;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Pseudonym};
use portrait_store::backend::limits::within;
use portrait_store::{Result, ScanCursor, TombstonePage, TombstoneStore};

#[async_trait]
impl TombstoneStore for RedisStore {
    async fn tombstones(
        &self,
        partition: PartitionId,
        pseudonyms: &[Pseudonym],
    ) -> Result<Vec<Option<Bytes>>> {
        within("a lookup's number of pseudonyms", pseudonyms.len(), self.limits.page_items)?;
        self.get_tombstones(partition, pseudonyms).await
    }

    async fn scan_tombstones(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_tombstones: usize,
    ) -> Result<TombstonePage> {
        within("a page's number of tombstones", max_tombstones, self.limits.page_items)?;
        self.tombstone_page(partition, cursor, max_tombstones).await
    }
}

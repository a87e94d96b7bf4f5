//! Profiles: lookups and scans.

use crate::store::RedisStore;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::PartitionId;
use portrait_store::backend::limits::within;
use portrait_store::{ProfileKey, ProfilePage, ProfileStore, Result, ScanCursor};

#[async_trait]
impl ProfileStore for RedisStore {
    async fn profiles(&self, partition: PartitionId, keys: &[ProfileKey]) -> Result<Vec<Option<Bytes>>> {
        within("a lookup's number of keys", keys.len(), self.limits.page_items)?;
        self.get_profiles(partition, keys).await
    }

    async fn scan(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_profiles: usize,
    ) -> Result<ProfilePage> {
        within("a page's number of profiles", max_profiles, self.limits.page_items)?;
        self.scan_page(partition, cursor, max_profiles).await
    }
}

//! Profiles: lookups and scans.

use crate::keys;
use crate::store::Embedded;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::PartitionId;
use portrait_store::backend::limits::within;
use portrait_store::{Error, ProfileKey, ProfilePage, ProfileStore, Result, ScanCursor};

/// Profiles that a call reads before it yields to other tasks.
const INLINE_READS: usize = 64;

#[async_trait]
impl ProfileStore for Embedded {
    async fn profiles(&self, partition: PartitionId, keys: &[ProfileKey]) -> Result<Vec<Option<Bytes>>> {
        within("a lookup's number of keys", keys.len(), self.limits.page_items)?;
        let mut found = Vec::with_capacity(keys.len());
        // Lookups run inline; a long one yields between chunks, so that other tasks of the thread get their turn.
        for page in keys.chunks(INLINE_READS) {
            for key in page {
                let value =
                    self.keyspaces.profiles.get(keys::profile(partition, key)).map_err(Error::unavailable)?;
                found.push(value.map(|value| Bytes::copy_from_slice(&value)));
            }
            if keys.len() > INLINE_READS {
                tokio::task::yield_now().await;
            }
        }
        Ok(found)
    }

    async fn scan(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_profiles: usize,
    ) -> Result<ProfilePage> {
        within("a page's number of profiles", max_profiles, self.limits.page_items)?;
        self.page(partition, cursor, max_profiles).await
    }
}

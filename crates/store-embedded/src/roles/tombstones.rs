//! Tombstones: lookups and scans.

use crate::keys;
use crate::store::Embedded;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Pseudonym};
use portrait_store::backend::limits::within;
use portrait_store::{Error, Result, ScanCursor, TombstonePage, TombstoneStore};

#[async_trait]
impl TombstoneStore for Embedded {
    async fn tombstones(
        &self,
        partition: PartitionId,
        pseudonyms: &[Pseudonym],
    ) -> Result<Vec<Option<Bytes>>> {
        within("a lookup's number of pseudonyms", pseudonyms.len(), self.limits.page_items)?;
        // Inline: tombstones are few and small, and are looked up for a receipt or an expiry alone.
        let found = pseudonyms.iter().map(|pseudonym| {
            let value = self.keyspaces.tombstones.get(keys::tombstone(partition, *pseudonym));
            Ok(value.map_err(Error::unavailable)?.map(|value| Bytes::copy_from_slice(&value)))
        });
        found.collect()
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

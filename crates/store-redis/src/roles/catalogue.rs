//! Catalogue: writes, lookups and scans.

use crate::store::RedisStore;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_store::backend::limits::within;
use portrait_store::{AckLevel, CatalogueEntry, CatalogueStore, ItemPage, Result, ScanCursor};

#[async_trait]
impl CatalogueStore for RedisStore {
    async fn put_items(&self, items: Vec<CatalogueEntry>, level: AckLevel) -> Result<()> {
        within("an upsert's number of items", items.len(), self.limits.page_items)?;
        self.write_items(items, level).await
    }

    async fn scan_items(&self, cursor: Option<ScanCursor>, about: usize) -> Result<ItemPage> {
        within("a page's number of items", about, self.limits.page_items)?;
        self.scan_shards(cursor, about).await
    }

    async fn items(&self, ids: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        within("a lookup's number of items", ids.len(), self.limits.page_items)?;
        self.read_items(ids).await
    }
}

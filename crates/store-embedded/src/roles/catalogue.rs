//! Catalogue: writes, lookups and scans.

use super::copies::one_copy;
use crate::store::Embedded;
use crate::write_job::WriteJob;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_store::backend::limits::within;
use portrait_store::{AckLevel, CatalogueEntry, CatalogueStore, Error, ItemPage, Result, ScanCursor};

#[async_trait]
impl CatalogueStore for Embedded {
    async fn put_items(&self, items: Vec<CatalogueEntry>, level: AckLevel) -> Result<()> {
        one_copy(level)?;
        within("an upsert's number of items", items.len(), self.limits.page_items)?;
        self.submit(|reply| WriteJob::PutItems { items, level, reply }).await
    }

    async fn items(&self, ids: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        within("a lookup's number of items", ids.len(), self.limits.page_items)?;
        let found = ids.iter().map(|id| {
            let value = self.keyspaces.items.get(&id[..])?;
            Ok(value.map(|value| Bytes::copy_from_slice(&value)))
        });
        found.collect::<fjall::Result<_>>().map_err(Error::unavailable)
    }

    async fn scan_items(&self, cursor: Option<ScanCursor>, about: usize) -> Result<ItemPage> {
        within("a page's number of items", about, self.limits.page_items)?;
        self.item_page(cursor, about).await
    }
}

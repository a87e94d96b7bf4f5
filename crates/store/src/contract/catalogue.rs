//! The catalogue: items by id, once for the whole deployment.

use super::cursor::ScanCursor;
use super::info::{AckLevel, StoreInfo};
use crate::error::Result;
use async_trait::async_trait;
use bytes::Bytes;

/// Reads and writes of the catalogue.
#[async_trait]
pub trait CatalogueStore: StoreInfo {
    /// Adds items to the catalogue or replaces them, keyed by item id. MUST be durable as an append at `level` is.
    async fn put_items(&self, items: Vec<CatalogueEntry>, level: AckLevel) -> Result<()>;

    /// The items of `ids`, in their order.
    async fn items(&self, ids: &[Bytes]) -> Result<Vec<Option<Bytes>>>;

    /// Pages through the catalogue, about so many items at a time.
    ///
    /// MUST return every item that is there during the whole scan; MAY return one twice, and some more or fewer than `about`.
    async fn scan_items(&self, cursor: Option<ScanCursor>, about: usize) -> Result<ItemPage>;
}

/// One catalogue entry: the item's id and its encoded form.
pub type CatalogueEntry = (Bytes, Bytes);

/// A stretch of the catalogue.
#[derive(Clone, Debug, Default)]
pub struct ItemPage {
    /// Some items.
    pub items: Vec<CatalogueEntry>,
    /// Where the next page begins; none after the last.
    pub next: Option<ScanCursor>,
}

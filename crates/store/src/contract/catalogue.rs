//! Catalogue: items by id, shared by the whole deployment.

use super::cursor::ScanCursor;
use super::info::{AckLevel, StoreInfo};
use crate::error::Result;
use async_trait::async_trait;
use bytes::Bytes;

/// Reads and writes of the item catalogue.
#[async_trait]
pub trait CatalogueStore: StoreInfo {
    /// Adds or replaces items, keyed by item id; of two with one id the later one is stored. MUST be as durable as an append at
    /// `level`.
    ///
    /// # Errors
    /// `TooBig` beyond [`crate::Limits::page_items`], `Full` without space.
    async fn put_items(&self, items: Vec<CatalogueEntry>, level: AckLevel) -> Result<()>;

    /// Returns the items of `ids`, in their order; none for an unknown id.
    ///
    /// # Errors
    /// `TooBig` beyond [`crate::Limits::page_items`].
    async fn items(&self, ids: &[Bytes]) -> Result<Vec<Option<Bytes>>>;

    /// Returns the next page of the catalogue, with about `about` items.
    ///
    /// MUST return every item that exists during the whole scan. MAY return an item twice, and more or fewer items than `about`.
    async fn scan_items(&self, cursor: Option<ScanCursor>, about: usize) -> Result<ItemPage>;
}

/// Catalogue entry: the item's id and its encoded form.
pub type CatalogueEntry = (Bytes, Bytes);

/// Page of a scan of the catalogue.
#[derive(Clone, Debug, Default)]
pub struct ItemPage {
    /// Items of the page, in no particular order.
    pub items: Vec<CatalogueEntry>,
    /// Cursor of the next page; none after the last.
    pub next: Option<ScanCursor>,
}

//! An item of the catalogue as it was sent, and the entry it becomes.

use super::{LABEL_MAX_BYTES, Rules, text};
use portrait_profile::{CatalogueItem, ItemId};
use portrait_proto::request::Refusal;
use portrait_proto::v1;

const TITLE_MAX_BYTES: usize = 256;

/// An item that may enter the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CheckedItem {
    /// Its key.
    pub(crate) item_id: ItemId,
    /// What is known of it.
    pub(crate) item: CatalogueItem,
}

impl Rules {
    /// Checks an item.
    pub(crate) fn item(&self, item: v1::Item) -> Result<CheckedItem, Refusal> {
        let item_id = ItemId::parse(&item.item_id).map_err(|fault| Refusal::of_text("item_id", fault))?;
        let item = CatalogueItem {
            category: text("category", item.category, LABEL_MAX_BYTES)?,
            brand: text("brand", item.brand, LABEL_MAX_BYTES)?,
            price: self.price(item.price, &item.currency)?,
            title: text("title", item.title, TITLE_MAX_BYTES)?,
        };
        Ok(CheckedItem { item_id, item })
    }
}

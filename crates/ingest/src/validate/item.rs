//! Validation of an item of the catalogue.

use super::{LABEL_MAX_BYTES, Validator, known_label, text};
use portrait_profile::{CatalogueItem, ItemId};
use portrait_proto::request::ValidationError;
use portrait_proto::v1;

const TITLE_MAX_BYTES: usize = 256;

/// Valid item of the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ValidItem {
    /// Key in the catalogue.
    pub(crate) item_id: ItemId,
    /// Value stored under the key.
    pub(crate) item: CatalogueItem,
}

impl Validator {
    /// Validates an item. Its price is stored in the base currency.
    pub(crate) fn item(&self, item: v1::Item) -> Result<ValidItem, ValidationError> {
        let item_id = self.ids.item_id(&item.item_id)?;
        let item = CatalogueItem {
            category: text("category", known_label(item.category), LABEL_MAX_BYTES)?,
            brand: text("brand", known_label(item.brand), LABEL_MAX_BYTES)?,
            price: self.price(item.price, &item.currency)?,
            title: text("title", item.title, TITLE_MAX_BYTES)?,
            available: item.available.unwrap_or(true),
        };
        Ok(ValidItem { item_id, item })
    }
}

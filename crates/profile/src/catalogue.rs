//! Catalogue items: the data that ingest stamps into the events of an item. A catalogue item is not part of any profile; a
//! logged event keeps the data stamped into it.

use crate::codec::{self, DecodeError};
use serde::{Deserialize, Serialize};

/// Item of the catalogue, without its id, which is its key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CatalogueItem {
    /// Category of the item; empty if unknown.
    pub category: Box<str>,
    /// Brand of the item; empty if unknown.
    pub brand: Box<str>,
    /// Price of one unit in the base currency.
    pub price: Option<f64>,
    /// Human-readable title; empty if unknown.
    pub title: Box<str>,
}

impl CatalogueItem {
    /// Encodes the item for the store: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(codec::ITEM_VERSION, self)
    }

    /// Decodes an item from the bytes of [`Self::encode`].
    ///
    /// # Errors
    /// If the bytes are damaged or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(codec::ITEM_VERSION, bytes)
    }
}

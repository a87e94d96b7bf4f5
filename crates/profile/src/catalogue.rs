//! Catalogue items: the data that ingest stamps into the events of an item. A catalogue item is not part of any profile; a
//! logged event keeps the data stamped into it.

use crate::codec::{self, DecodeError};
use serde::{Deserialize, Serialize};

/// Item of the catalogue, without its id, which is its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CatalogueItem {
    /// Category of the item; empty if unknown.
    pub category: Box<str>,
    /// Brand of the item; empty if unknown.
    pub brand: Box<str>,
    /// Price of one unit in the base currency.
    pub price: Option<f64>,
    /// Human-readable title; empty if unknown.
    pub title: Box<str>,
    /// Whether the item can be bought. It is last and only written if it is false, so that earlier releases can read the others.
    #[serde(with = "unavailable", skip_serializing_if = "Clone::clone")]
    pub available: bool,
}

impl Default for CatalogueItem {
    fn default() -> Self {
        let empty = Box::<str>::default;
        Self { category: empty(), brand: empty(), price: None, title: empty(), available: true }
    }
}

/// Encoding of availability: the value that records of earlier releases lack is 0.
mod unavailable {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(available: &bool, serializer: S) -> Result<S::Ok, S::Error> {
        (!available).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        bool::deserialize(deserializer).map(|unavailable| !unavailable)
    }
}

impl CatalogueItem {
    /// Encodes the item for the store: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(codec::ITEM_VERSION.for_content([!self.available]), self)
    }

    /// Decodes an item from the bytes of [`Self::encode`].
    ///
    /// # Errors
    /// If the bytes are damaged or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(codec::ITEM_VERSION, bytes)
    }
}

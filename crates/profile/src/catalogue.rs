//! The catalogue's noun: what ingest knows of an item and stamps into the events that name it. It is not part of any
//! profile; an event already logged keeps what was stamped into it.

use crate::codec::{self, DecodeError};
use serde::{Deserialize, Serialize};

/// An item of the catalogue, without its id, which is its key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CatalogueItem {
    /// Its category; empty if unknown.
    pub category: Box<str>,
    /// Its brand; empty if unknown.
    pub brand: Box<str>,
    /// The price of one unit in the base currency.
    pub price: Option<f64>,
    /// What a person reads; empty if unknown.
    pub title: Box<str>,
}

impl CatalogueItem {
    /// The bytes for the store: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(codec::ITEM_VERSION, self)
    }

    /// The item of such bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(codec::ITEM_VERSION, bytes)
    }
}

//! Connectors: event data from outside Portrait, converted to events and items of the API.

pub mod files;
#[cfg(feature = "objects")]
pub mod objects;

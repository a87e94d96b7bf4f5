//! Connectors: event data from outside Portrait, converted to events and items of the API.

#[cfg(feature = "databases")]
pub mod databases;
pub mod files;
#[cfg(any(feature = "databases", feature = "objects"))]
mod link_local;
#[cfg(feature = "objects")]
pub mod objects;
#[cfg(feature = "databases")]
pub mod table_rows;
#[cfg(feature = "testing")]
pub mod testing;

//! Room 1: what a shop tells is checked and logged.
//!
//! In come batches over gRPC; out go records in the log of each shopper's partition, and an answer for every item. Items of
//! the catalogue go to the catalogue.
//!
//! Invariant: what was answered as accepted is in the log at the configured level; what was not is not, or may be sent again
//! with its id.
//! Invariant: everything that a profile will be made of is in the record: nothing is looked up when it is applied.
//! Invariant: this room keeps nothing that it could not lose.

mod append;
mod catalogue;
mod check;
mod config;
mod context;
mod erase;
mod error;
mod grpc;
mod metrics;
mod money;
mod policy;
mod rate;
mod service;
mod shop_time;
mod stream;
mod track;

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

pub use config::{Acknowledge, Config, ValidConfig};
pub use error::Error;
pub use policy::TraitPolicy;
pub use service::IngestService;

//! Ingest service: validates and completes what senders report, appends it to the log of each user's partition, and answers
//! for every item. Items of the catalogue are written to the catalogue.
//!
//! Invariant: an item reported as accepted is in the log at the configured acknowledgement level. Any other item is not in
//! the log, or may be sent again with its id.
//! Invariant: a record contains everything that a profile is made of. Nothing is looked up when it is applied, so a rebuild
//! from the log needs neither the catalogue nor the configuration of that day.
//! Invariant: a dropped trait or property is written nowhere, and no name or value of a sender is logged.
//! Invariant: this service holds no state that a restart may not lose.

mod append;
mod catalogue;
mod config;
mod context;
mod erase;
mod error;
mod event_validator;
mod grpc;
mod losses;
mod metrics;
mod money;
mod personal;
mod policy;
mod rate;
mod redact;
mod service;
mod shop_time;
mod source_limit;
mod stream;
mod strength;
mod track;
mod trait_keys;
mod trait_policies;
mod validate;

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

pub use config::{Acknowledge, Config, ValidConfig};
pub use error::Error;
pub use event_validator::EventValidator;
pub use policy::TraitPolicy;
pub use service::IngestService;

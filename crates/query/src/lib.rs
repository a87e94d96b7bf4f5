//! Query service: profile reads, predictions, and change subscriptions.
//!
//! Input: reads and subscriptions. Output: profiles evaluated at a time, and every change of the feed to every
//! subscriber. The service never writes to the store.
//!
//! Invariant: a subscriber receives every change that matches its filter, or a resync that replaces its state of a
//! partition; there is no third way.
//! Invariant: the cost of a subscriber is bounded; a stalled one is disconnected and delays no other.

mod config;
mod context;
mod error;
mod grpc;
mod metrics;
mod next_action;
mod read;
mod recommend;
mod score;
mod segments;
mod service;
mod similar;
mod watch;

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

pub use config::{Config, ValidConfig};
pub use error::Error;
pub use service::QueryService;

//! Room 4: profiles are read, and whoever asks is told that they changed.
//!
//! In come reads and subscriptions; out go profiles as they are at a moment, and every change of the feed to every
//! subscriber. Nothing is written here.
//!
//! Invariant: a subscriber is told of every change that matters to it, or that its knowledge of a partition is void and
//! what it is instead; there is no third way.
//! Invariant: what a subscriber costs is bounded, whatever it does; one that takes nothing is cut, and holds up nobody.

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

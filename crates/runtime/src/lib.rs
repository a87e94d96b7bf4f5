//! Process runtime: configuration, telemetry, TLS, tokens, health, serving and draining.
//!
//! Input: settings and gRPC services. Output: a process that listens, measures itself, and drains on a signal. This crate knows
//! no domain type.

mod admission;
pub mod certificates;
pub mod clock;
pub mod config;
mod connections;
pub mod deadline;
pub mod files;
pub mod guard;
pub mod health;
mod message;
mod methods;
pub mod peer;
mod pem;
pub mod server;
pub mod share;
pub mod shutdown;
pub mod stack;
pub mod telemetry;
mod tls;
mod token_bucket;
pub mod tokens;

pub use clock::{Clock, ManualClock, SharedClock, SystemClock};
pub use connections::InProcessConnector;

//! How any process of Portrait lives: configuration, telemetry, health, serving, draining.
//!
//! In come settings and gRPC services; out goes a process that listens, measures itself, and stops when asked. Nothing here
//! knows what a shopper is.

mod bucket;
pub mod clock;
pub mod config;
mod connections;
pub mod deadline;
pub mod files;
pub mod guard;
pub mod health;
mod methods;
pub mod peer;
mod pem;
pub mod server;
pub mod shutdown;
pub mod stack;
pub mod telemetry;
mod tls;
pub mod tokens;

pub use clock::{Clock, ManualClock, SharedClock, SystemClock};
pub use connections::Door;

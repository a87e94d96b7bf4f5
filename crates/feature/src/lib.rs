//! Room 2: events become profiles.
//!
//! In come the log of each partition and the model that is served; out go, in one commit, the changed profiles with their
//! segments, the ids to remember, the changes for subscribers, the records set aside and how far the log is applied. Feature
//! vectors are a pure function of a profile and are computed when they are asked for.
//!
//! Invariant: every record of a partition's log is folded into exactly one commit that succeeds, or is dropped as a
//! duplicate, or is set aside; a worker that lost its partition can change nothing.
//! Invariant: nothing that a shopper did before an erasure is in a profile after it, whatever comes, in whatever order, and
//! whoever was killed between. The version of a shopper's profile only grows.
//! Invariant: profiles in a worker's memory are those of its last commit; any doubt about a commit empties the memory.

mod assign;
mod batch;
mod cache;
mod config;
mod context;
mod erased;
mod error;
mod fold;
mod gap;
mod grpc;
mod metrics;
mod partitions;
mod roster;
mod service;
mod spans;
mod vectors;
mod worker;

pub use config::{Config, ValidConfig};
pub use context::Ownership;
pub use error::Error;
pub use service::FeatureService;

//! Room 2: events become profiles.
//!
//! In comes the log of each partition; out go, in one commit, the changed profiles, the ids to remember, the changes for
//! subscribers, the records set aside and how far the log is applied. Feature vectors are a pure function of a profile and
//! are computed when they are asked for.
//!
//! Invariant: every record of a partition's log is folded into exactly one commit that succeeds, or is dropped as a
//! duplicate, or is set aside; a worker that lost its partition can change nothing.
//! Invariant: profiles in a worker's memory are those of its last commit; any doubt about a commit empties the memory.

mod batch;
mod cache;
mod config;
mod error;
mod fold;
mod grpc;
mod metrics;
mod partitions;
mod service;
mod vectors;
mod worker;

pub use config::{Config, ValidConfig};
pub use error::Error;
pub use service::FeatureService;

//! Feature service: folds the log of each partition into user profiles.
//!
//! Input: the log of every partition that this process owns, and the served model. Output, in one atomic commit: changed
//! profiles with their segments, remembered record ids, changes for subscribers, dead letters, tombstones, the ledger, and
//! `applied_through`. Feature vectors are a pure function of a profile and are computed on request.
//!
//! Reading order: `workers.rs` (a worker per assigned partition), `worker.rs` (the loop of an owner), `fold.rs` (records to one
//! commit), `worker/trims.rs` (retention of log and feed), `tombstones.rs` and `worker/cleanup.rs` (erasure), `worker/sweep.rs`
//! (scans), `assignment.rs` (partitions to workers).
//!
//! **Exactly once.** A record id is remembered in the same commit as the profile that it changed, so an id is either in both
//! or in neither. A commit names the lease token and the commit number that it follows. After an unknown result the owner
//! drops its memory and reads the stored state, which tells if the commit happened.
//!
//! **Leases.** The lease decides only which worker tries. The comparison of the token inside the commit decides which one
//! succeeds, so a paused process, a wrong clock or two owners at once cannot corrupt a partition.
//!
//! Invariant: every record of a partition's log is part of exactly one successful commit: applied, dropped as a duplicate,
//! blocked by an erasure, or stored as a dead letter. A worker that lost its lease changes nothing.
//! Invariant: no record from before an erasure is in a profile after it, in any order and after any failure. The version of
//! a user's profile only grows.
//! Invariant: profiles in the memory of a worker equal its last successful commit. An unknown commit result empties the memory.

mod assign;
mod assignment;
mod batch;
mod cache;
mod config;
mod context;
mod error;
mod fold;
mod grpc;
mod logs;
mod metrics;
mod partitions;
mod service;
mod shadow;
mod spans;
mod storage;
mod tombstones;
mod vectors;
mod worker;
mod workers;

pub use config::{Config, ValidConfig};
pub use context::Ownership;
pub use error::Error;
pub use service::FeatureService;

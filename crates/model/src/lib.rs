//! Model service: feature vectors become a model, and the model is broadcast to the nodes.
//!
//! Input: the vectors of all users, through `FeatureService.StreamFeatures`. Output: model versions, each with its
//! manifest and parts, to the store and to every node that watches. A version is published only if it is not worse
//! than the served one, and becomes active in the same step.
//!
//! Invariant: at most one process trains; the store refuses a version from a process that lost the training lease.
//! Invariant: memory for training is bounded, independent of the number of users.
//! Invariant: each part of a model stands for itself; what cannot be learned is missing, and the manifest says why.
//! Invariant: a node receives the newest version and never an older one after it; a node that refuses a version keeps
//! serving the previous one and reports the reason.

mod broadcast;
mod command;
mod config;
mod context;
mod drift;
mod erasures;
mod error;
mod former;
mod grpc;
pub mod manifest;
mod metrics;
mod nodes;
mod orphans;
mod publish;
mod sample;
mod schedule;
mod service;
mod train;

pub use config::{Config, ValidConfig};
pub use drift::DriftMonitor;
pub use error::Error;
pub use manifest::{Assembly, InvalidManifest, assembled};
pub use service::ModelService;

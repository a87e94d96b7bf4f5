//! Room 3: vectors become a model, and the model is broadcast.
//!
//! In come everybody's vectors, through `FeatureService.StreamFeatures`; out go versions of a model, each with its manifest and
//! parts, to the store and to every node that watches. A version is published only if it is not worse than the one before, and
//! becomes the served one in the same step.
//!
//! Invariant: at most one process trains; a version of one that lost the right to train is refused by the store.
//! Invariant: memory for training is bounded, whatever the number of shoppers.
//! Invariant: a node hears of the newest version and of no older one after it; one that refuses it keeps what it has, and says
//! why.

mod broadcast;
mod config;
mod context;
mod demand;
mod drift;
mod error;
mod grpc;
pub mod manifest;
mod metrics;
mod nodes;
mod publish;
mod sample;
mod schedule;
mod service;
mod train;

pub use config::{Config, ValidConfig};
pub use drift::Watch;
pub use error::Error;
pub use manifest::{BadManifest, assembled};
pub use service::ModelService;

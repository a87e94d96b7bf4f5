//! Why a store could not do what was asked. Whoever asks decides what to do by [`Error::is_retryable`] and by the variant,
//! never by the text.

use crate::position::{CommitNo, LogSeq, RegistryNo};
use portrait_profile::{ModelVersion, PartitionId, StoreFailure};
use std::path::PathBuf;

/// What a store answers instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The commit's token or `commit_no` is not the partition's: somebody else owns it now. Nothing was written.
    #[error(
        "partition {partition} is owned by somebody else (its commit is {current}, {expected} was expected)"
    )]
    Fenced {
        /// Which.
        partition: PartitionId,
        /// What the caller thought was the newest commit.
        expected: CommitNo,
        /// The partition's newest commit.
        current: CommitNo,
    },
    /// The models changed meanwhile: read them again. Nothing was written.
    #[error("the models changed meanwhile (their number is {current}, {expected} was expected)")]
    RegistryMoved {
        /// What the caller thought was the registry's number.
        expected: RegistryNo,
        /// The registry's number.
        current: RegistryNo,
    },
    /// Somebody else has the right to train. Nothing was written.
    #[error("another process trains now")]
    TrainerFenced,
    /// The model is not kept, or may not be forgotten. Nothing was written.
    #[error("model {version} is not kept, or is the active one")]
    NoSuchModel {
        /// Which.
        version: ModelVersion,
    },
    /// The store has no room left. Nothing was written.
    #[error("the store is full: {detail}")]
    Full {
        /// What is used up and what to do.
        detail: String,
    },
    /// The store does not answer, or stopped. Nothing is known of what was asked.
    #[error("the store does not answer")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// One call asked for more than [`crate::Limits`] allow. Nothing was written.
    #[error("{what} of {actual} is above the store's limit of {limit}")]
    TooBig {
        /// What is counted.
        what: &'static str,
        /// How much was asked for.
        actual: usize,
        /// The limit.
        limit: usize,
    },
    /// The caller asked for places that were trimmed away.
    #[error("the log of partition {partition} begins after {first}, {asked} was asked for")]
    Trimmed {
        /// Which.
        partition: PartitionId,
        /// What was asked for.
        asked: LogSeq,
        /// The oldest place that is kept.
        first: LogSeq,
    },
    /// Something was written by another version, or with another number of partitions, or is not fit for what is asked of it;
    /// nothing was touched.
    #[error("{detail}")]
    Incompatible {
        /// What, and what to do.
        detail: String,
    },
    /// Another process has the store open.
    #[error("{} is in use by another process: stop it, or name another directory", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// What was stored is not what was written.
    #[error("the store is damaged: {detail}")]
    Damaged {
        /// Where.
        detail: String,
    },
}

/// The result of asking a store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The store does not answer, because of `source`.
    pub fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Unavailable(Some(Box::new(source)))
    }

    /// Returns what callers of a service are told of it.
    pub fn failure(&self) -> StoreFailure {
        match self {
            Self::Full { .. } => StoreFailure::Full,
            Self::Unavailable(_) => StoreFailure::Unavailable,
            Self::Fenced { .. } => StoreFailure::Fenced,
            Self::RegistryMoved { .. } | Self::TrainerFenced => StoreFailure::TrainingElsewhere,
            Self::NoSuchModel { .. } => StoreFailure::ModelNotFound,
            Self::Incompatible { .. } | Self::InUse { .. } => StoreFailure::Incompatible,
            Self::TooBig { .. } | Self::Trimmed { .. } | Self::Damaged { .. } => StoreFailure::Internal,
        }
    }

    /// Returns whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.failure().is_retryable()
    }
}

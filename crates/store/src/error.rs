//! Errors of a store. Callers branch on [`Error::is_retryable`] and on the variant, never on the text.

use crate::position::{CommitNo, LogSeq, RegistryNo};
use portrait_profile::{ModelVersion, PartitionId, StoreFailure};
use std::path::PathBuf;

/// Failure of a call to a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The commit's token or `commit_no` differs from the partition's: another worker owns it now. Nothing was written.
    #[error(
        "partition {partition} is owned by another worker (its newest commit is {current}, expected {expected})"
    )]
    Fenced {
        /// Partition of the commit.
        partition: PartitionId,
        /// Newest commit known to the caller.
        expected: CommitNo,
        /// Newest commit of the partition.
        current: CommitNo,
    },
    /// The registry changed since the caller read it; read it again. Nothing was written.
    #[error("the model registry changed concurrently (its number is {current}, expected {expected})")]
    RegistryMoved {
        /// Number of the registry known to the caller.
        expected: RegistryNo,
        /// Current number of the registry.
        current: RegistryNo,
    },
    /// Another process holds the training lease. Nothing was written.
    #[error("another process holds the training lease")]
    TrainerFenced,
    /// The model does not exist, or is active and cannot be removed. Nothing was written.
    #[error("model {version} does not exist, or is active and cannot be removed")]
    NoSuchModel {
        /// Version of the model.
        version: ModelVersion,
    },
    /// The store has no space left. Nothing was written.
    #[error("the store is full: {detail}")]
    Full {
        /// Exhausted resource, and the remedy.
        detail: String,
    },
    /// The store does not answer, or stopped. The outcome of a write is unknown.
    #[error("the store does not answer")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// One call exceeded [`crate::Limits`]. Nothing was written.
    #[error("{what} of {actual} is above the store's limit of {limit}")]
    TooBig {
        /// Quantity that is limited, for a person.
        what: &'static str,
        /// Amount that the call requested.
        actual: usize,
        /// Largest amount that the store allows.
        limit: usize,
    },
    /// The requested positions of the log are trimmed.
    #[error("the log of partition {partition} begins at {first}, {requested} was requested")]
    Trimmed {
        /// Partition of the log.
        partition: PartitionId,
        /// First position of the read.
        requested: LogSeq,
        /// Oldest position that is retained.
        first: LogSeq,
    },
    /// The data was written by another version or with other fixed settings, or the backend cannot do what is requested. Nothing
    /// was written.
    #[error("{detail}")]
    Incompatible {
        /// Cause, and the remedy.
        detail: String,
    },
    /// Another process has the store open.
    #[error("{} is in use by another process: stop it, or name another directory", path.display())]
    InUse {
        /// Directory of the store.
        path: PathBuf,
    },
    /// Stored bytes are corrupt.
    #[error("the store is damaged: {detail}")]
    Damaged {
        /// Location of the corrupt bytes.
        detail: String,
    },
}

/// Result of a call to a store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns [`Error::Unavailable`] caused by `source`.
    pub fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Unavailable(Some(Box::new(source)))
    }

    /// Returns the failure that a service reports to its callers.
    pub fn failure(&self) -> StoreFailure {
        match self {
            Self::Full { .. } => StoreFailure::Full,
            Self::Unavailable(_) => StoreFailure::Unavailable,
            Self::Fenced { .. } => StoreFailure::Fenced,
            // Both mean that another trainer was faster; callers of a service need not know by which check.
            Self::RegistryMoved { .. } | Self::TrainerFenced => StoreFailure::TrainingInProgress,
            Self::NoSuchModel { .. } => StoreFailure::ModelNotFound,
            Self::Incompatible { .. } | Self::InUse { .. } => StoreFailure::Incompatible,
            // A service checks limits and positions before it calls, so these reveal a defect, not a mistake of the caller.
            Self::TooBig { .. } | Self::Trimmed { .. } | Self::Damaged { .. } => StoreFailure::Internal,
        }
    }

    /// Returns whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.failure().is_retryable()
    }
}

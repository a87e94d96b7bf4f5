//! Kinds of store failures that callers of a service distinguish. The crates of the store and of the wire both depend on
//! them, and not on each other.

/// Kind of a store failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFailure {
    /// The store has no capacity left.
    Full,
    /// The store does not respond.
    Unavailable,
    /// Another process owns the partition.
    Fenced,
    /// Another process is training, or changed the model registry concurrently.
    TrainingInProgress,
    /// No such model is retained.
    ModelNotFound,
    /// The store is of another version or layout, or in use.
    Incompatible,
    /// The store is damaged, or was called incorrectly.
    Internal,
}

impl StoreFailure {
    /// Returns whether the same call may succeed later.
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Full | Self::Unavailable => true,
            Self::Fenced
            | Self::TrainingInProgress
            | Self::ModelNotFound
            | Self::Incompatible
            | Self::Internal => false,
        }
    }
}

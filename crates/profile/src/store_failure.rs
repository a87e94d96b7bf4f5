//! Kinds of failures of a store as far as callers of a service are told of them. Stores and the wire both know them, and
//! neither knows the other.

/// Kind of a store's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFailure {
    /// The store has no room left.
    Full,
    /// The store does not answer.
    Unavailable,
    /// Another process owns the partition.
    Fenced,
    /// Another process trains, or changed the models meanwhile.
    TrainingInProgress,
    /// The model is not kept.
    ModelNotFound,
    /// The store is of another version or layout, or in use.
    Incompatible,
    /// The store is damaged, or was called wrongly.
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

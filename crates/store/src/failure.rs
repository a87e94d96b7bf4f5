//! What a caller over gRPC is told when a store could not do what was asked: the one mapping that every service shares.

use crate::error::Error;
use portrait_proto::status::Failure;
use portrait_proto::v1::ErrorReason;
use std::time::Duration;

/// How long a caller is asked to wait before it tries a store again that was full or away.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Error {
    /// The reason that a caller is given.
    pub fn reason(&self) -> ErrorReason {
        match self {
            Self::Full { .. } => ErrorReason::StoreFull,
            Self::Unavailable(_) | Self::Fenced { .. } => ErrorReason::StoreUnavailable,
            Self::RegistryMoved { .. } | Self::TrainerFenced => ErrorReason::TrainingElsewhere,
            Self::NoSuchModel { .. } => ErrorReason::ModelNotFound,
            Self::Incompatible { .. } | Self::InUse { .. } => ErrorReason::StoreIncompatible,
            Self::TooBig { .. } | Self::Trimmed { .. } | Self::Damaged { .. } => ErrorReason::Internal,
        }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let failure = Self::new(error.reason(), error.to_string());
        if error.is_retryable() { failure.retry_after(RETRY_AFTER) } else { failure }
    }
}

//! Error type of the service and its mapping to gRPC status.

use portrait_proto::request::ValidationError;
use portrait_proto::status::CallFailure;
use portrait_proto::v1::ErrorReason;
use tonic::Status;

/// Error of a feature call or of a partition owner.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Failed request to the store.
    #[error("store request failed")]
    Store(#[from] portrait_store::Error),
    /// Stored profile that cannot be decoded.
    #[error("the stored profile of user {user_id:?} cannot be read")]
    Profile {
        /// User id as stored, for the operator.
        user_id: String,
        /// Reason from the decoder.
        #[source]
        source: portrait_profile::DecodeError,
    },
    /// Record of the log that a later release wrote.
    #[error("record {seq} of the log cannot be read")]
    Record {
        /// Position in the partition's log.
        seq: portrait_store::LogSeq,
        /// Reason from the decoder.
        #[source]
        source: portrait_profile::DecodeError,
    },
    /// Stored tombstone that cannot be decoded.
    #[error("a tombstone of the partition cannot be read")]
    Tombstone {
        /// Reason from the decoder.
        #[source]
        source: portrait_profile::DecodeError,
    },
    /// Undecodable ledger of a partition.
    #[error("the ledger of the partition cannot be read")]
    Ledger {
        /// Reason from the decoder.
        #[source]
        source: portrait_profile::DecodeError,
    },
    /// Request that failed its validation.
    #[error(transparent)]
    Request(#[from] ValidationError),
}

impl Error {
    /// Creates the error for an undecodable profile of `key`.
    pub(crate) fn cannot_read(
        key: &portrait_store::ProfileKey,
        source: portrait_profile::DecodeError,
    ) -> Self {
        Self::Profile { user_id: String::from_utf8_lossy(&key.0).into_owned(), source }
    }

    /// Returns true if a retry may succeed without an operator.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(source) => source.is_retryable(),
            // Stored bytes stay as they are: only a release that can decode them helps.
            Self::Profile { .. }
            | Self::Record { .. }
            | Self::Tombstone { .. }
            | Self::Ledger { .. }
            | Self::Request(_) => false,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(source) => CallFailure::of_store(source.failure(), source.to_string()).into_status(),
            Error::Profile { source, .. }
            | Error::Record { source, .. }
            | Error::Tombstone { source }
            | Error::Ledger { source } => {
                CallFailure::new(ErrorReason::StoreIncompatible, source.to_string()).into_status()
            }
            Error::Request(error) => error.into(),
        }
    }
}

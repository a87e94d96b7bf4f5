//! Why a call for features could not be answered, and what the caller is told.

use portrait_proto::request::Refusal;
use portrait_proto::status::Failure;
use portrait_proto::v1::ErrorReason;
use tonic::Status;

/// What this crate answers instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store could not answer.
    #[error("the store could not answer")]
    Store(#[from] portrait_store::Error),
    /// A stored profile cannot be read.
    #[error("the stored profile of user {user_id:?} cannot be read")]
    Profile {
        /// Whose.
        user_id: String,
        /// Why not.
        #[source]
        source: portrait_profile::DecodeError,
    },
    /// A record of the log is of a later release.
    #[error("record {seq} of the log cannot be read")]
    Record {
        /// Its place.
        seq: portrait_store::LogSeq,
        /// Why not.
        #[source]
        source: portrait_profile::DecodeError,
    },
    /// A stored tombstone cannot be read.
    #[error("a tombstone of the partition cannot be read")]
    Tombstone {
        /// Why not.
        #[source]
        source: portrait_profile::DecodeError,
    },
    /// What the owner noted of a partition cannot be read.
    #[error("the note of the partition cannot be read")]
    Ledger {
        /// Why not.
        #[source]
        source: portrait_profile::DecodeError,
    },
    /// The request is wrong.
    #[error(transparent)]
    Request(#[from] Refusal),
}

impl Error {
    /// The stored profile of `key` cannot be read.
    pub(crate) fn unreadable(
        key: &portrait_store::ProfileKey,
        source: portrait_profile::DecodeError,
    ) -> Self {
        Self::Profile { user_id: String::from_utf8_lossy(&key.0).into_owned(), source }
    }

    /// Whether the same may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(source) => source.is_retryable(),
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
            Error::Store(source) => Failure::of_store(source.failure(), source.to_string()).into_status(),
            Error::Profile { source, .. }
            | Error::Record { source, .. }
            | Error::Tombstone { source }
            | Error::Ledger { source } => {
                Failure::new(ErrorReason::StoreIncompatible, source.to_string()).into_status()
            }
            Error::Request(refusal) => refusal.into(),
        }
    }
}

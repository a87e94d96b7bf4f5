//! Errors of reads and subscriptions, and their gRPC status.

use portrait_learning::prediction::learners::ScorerError;
use portrait_profile::{DecodeError, PartitionId, SegmentId, UserId};
use portrait_proto::request::ValidationError;
use portrait_proto::status::CallFailure;
use portrait_proto::v1::ErrorReason;
use portrait_runtime::share::ShareTaken;
use portrait_store::FeedSeq;
use std::time::Duration;
use tonic::Status;

/// Retry delay suggested to callers of refused or ended subscriptions.
const SUBSCRIBE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Error of the query service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store request failed.
    #[error("store request failed")]
    Store(#[from] portrait_store::Error),
    /// A stored profile cannot be decoded.
    #[error("the stored profile of user {user_id:?} cannot be decoded")]
    Profile {
        /// User of the profile.
        user_id: String,
        /// Cause of the decoding error.
        #[source]
        source: DecodeError,
    },
    /// A stored change cannot be decoded.
    #[error("change {seq} of partition {partition} cannot be decoded")]
    Change {
        /// Partition of the change.
        partition: PartitionId,
        /// Position of the change.
        seq: FeedSeq,
        /// Cause of the decoding error.
        #[source]
        source: DecodeError,
    },
    /// The request is invalid.
    #[error(transparent)]
    Request(#[from] ValidationError),
    /// The user has no profile.
    #[error("user {user_id} has no profile")]
    NotFound {
        /// Id of the user.
        user_id: UserId,
    },
    /// The records that the consistency token covers are no longer in the store.
    #[error(
        "read_after covers records of partition {partition} that are no longer in the store: read without it"
    )]
    TokenExpired {
        /// Partition of the records.
        partition: PartitionId,
    },
    /// The records that the consistency token covers were not applied in time.
    #[error(
        "the records that read_after covers were not applied within {waited:?}: retry with a longer deadline"
    )]
    ReadAfterTimeout {
        /// Time that the read waited.
        waited: Duration,
    },
    /// No model has been published yet.
    #[error("no model yet: train one by ModelService.TrainModel, or wait for the first")]
    NoModel,
    /// The active model has no such part.
    #[error("the active model cannot answer this: {remedy}")]
    NotTrained {
        /// Missing part and remedy.
        remedy: &'static str,
    },
    /// The vector of a profile cannot be scored.
    #[error("the profile of user {user_id} cannot be scored")]
    Unscored {
        /// User of the profile.
        user_id: UserId,
        /// Cause of the scoring error.
        source: ScorerError,
    },
    /// The user has no segment yet.
    #[error(
        "user {user_id} has no segment of the active model yet: the reassignment sweep has not reached it"
    )]
    Unassigned {
        /// Id of the user.
        user_id: UserId,
    },
    /// The active model has no such segment.
    #[error("segment {segment_id} not found: ListSegments returns the segments of the active model")]
    NoSuchSegment {
        /// Id of the segment.
        segment_id: SegmentId,
    },
    /// The segment has too few users to be exported.
    #[error("segment {segment_id} has {size} users, query.export_users_min requires {required}")]
    TooFewUsers {
        /// Id of the segment.
        segment_id: SegmentId,
        /// Number of users in the segment.
        size: u64,
        /// Required number (`query.export_users_min`).
        required: u64,
    },
    /// The segment ledger of a partition cannot be decoded.
    #[error("the segment ledger of partition {partition} cannot be decoded")]
    Ledger {
        /// Partition of the ledger.
        partition: PartitionId,
        /// Cause of the decoding error.
        #[source]
        source: DecodeError,
    },
    /// The limit of subscriptions is reached.
    #[error("all {limit} subscriptions are in use: end one, or raise query.max_subscribers")]
    TooManySubscribers {
        /// Configured limit (`query.max_subscribers`).
        limit: usize,
    },
    /// The caller has its share of subscriptions.
    #[error(transparent)]
    ShareTaken(#[from] ShareTaken),
    /// The subscriber has read nothing for too long.
    #[error(
        "the subscriber read nothing for {after:?}: resume with the last token, and read responses sooner"
    )]
    SubscriberStalled {
        /// Configured limit (`query.stall_timeout`).
        after: Duration,
    },
    /// The process is shutting down.
    #[error("the server is shutting down: resume with the last token")]
    ShuttingDown,
}

impl Error {
    /// Creates the error of an invalid field.
    pub(crate) fn invalid(reason: ErrorReason, field: impl Into<String>, message: impl Into<String>) -> Self {
        ValidationError::new(reason, field, message).into()
    }

    /// Logs errors that need an operator. User ids stay out of the log.
    fn log(&self) {
        match self {
            // An unavailable store fails every call; the tails log that once.
            Self::Store(source) if !source.is_retryable() => {
                tracing::error!(error = %source, "store request failed");
            }
            Self::Profile { source, .. } => {
                tracing::error!(error = %source, "stored profile cannot be decoded");
            }
            Self::Change { partition, seq, source } => {
                tracing::error!(%partition, %seq, error = %source, "stored change cannot be decoded");
            }
            Self::Ledger { partition, source } => {
                tracing::error!(%partition, error = %source, "segment ledger cannot be decoded");
            }
            Self::Unscored { source, .. } => {
                tracing::error!(error = %source, "profile cannot be scored");
            }
            Self::Store(_)
            | Self::NoModel
            | Self::NotTrained { .. }
            | Self::Unassigned { .. }
            | Self::NoSuchSegment { .. }
            | Self::TooFewUsers { .. }
            | Self::Request(_)
            | Self::NotFound { .. }
            | Self::TokenExpired { .. }
            | Self::ReadAfterTimeout { .. }
            | Self::TooManySubscribers { .. }
            | Self::ShareTaken(_)
            | Self::SubscriberStalled { .. }
            | Self::ShuttingDown => {}
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.log();
        let message = error.to_string();
        match error {
            Error::Store(source) => CallFailure::of_store(source.failure(), source.to_string()).into_status(),
            // Damage or a format of a later release: a retry cannot help.
            Error::Profile { source, .. } | Error::Change { source, .. } | Error::Ledger { source, .. } => {
                CallFailure::new(ErrorReason::StoreIncompatible, format!("{message}: {source}")).into_status()
            }
            Error::Request(refusal) => refusal.into(),
            // Both pass with time, after the first training or the next sweep.
            Error::NoModel | Error::Unassigned { .. } => CallFailure::new(ErrorReason::NoModel, message)
                .retry_after(SUBSCRIBE_RETRY_AFTER)
                .into_status(),
            Error::NotTrained { .. } => CallFailure::new(ErrorReason::NotTrained, message).into_status(),
            Error::Unscored { source, .. } => {
                CallFailure::new(ErrorReason::Internal, format!("{message}: {source}")).into_status()
            }
            Error::NoSuchSegment { .. } => {
                CallFailure::new(ErrorReason::SegmentNotFound, message).field("segment_id").into_status()
            }
            Error::TooFewUsers { .. } => {
                CallFailure::new(ErrorReason::TooFewUsers, message).field("segment_id").into_status()
            }
            Error::NotFound { .. } => CallFailure::new(ErrorReason::UserNotFound, message).into_status(),
            Error::TokenExpired { .. } => {
                CallFailure::new(ErrorReason::TokenExpired, message).field("read_after").into_status()
            }
            Error::ReadAfterTimeout { .. } => {
                CallFailure::new(ErrorReason::ReadAfterTimeout, message).into_status()
            }
            Error::TooManySubscribers { .. } => CallFailure::new(ErrorReason::Overloaded, message)
                .retry_after(SUBSCRIBE_RETRY_AFTER)
                .into_status(),
            Error::ShareTaken(_) => CallFailure::new(ErrorReason::RateLimited, message).into_status(),
            Error::SubscriberStalled { .. } => CallFailure::new(ErrorReason::SubscriberStalled, message)
                .retry_after(SUBSCRIBE_RETRY_AFTER)
                .into_status(),
            Error::ShuttingDown => CallFailure::new(ErrorReason::ShuttingDown, message)
                .retry_after(SUBSCRIBE_RETRY_AFTER)
                .into_status(),
        }
    }
}

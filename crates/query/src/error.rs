//! Why a read or a subscription could not be answered, and what the caller is told.

use portrait_learning::prediction::learners::ScorerError;
use portrait_profile::{DecodeError, PartitionId, SegmentId, UserId};
use portrait_proto::status::Failure;
use portrait_proto::v1::ErrorReason;
use portrait_store::FeedSeq;
use std::time::Duration;
use tonic::Status;

/// How long a caller is asked to wait before it subscribes again.
const SUBSCRIBE_AGAIN: Duration = Duration::from_secs(1);

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
        source: DecodeError,
    },
    /// A stored change cannot be read.
    #[error("change {seq} of partition {partition} cannot be read")]
    Change {
        /// Of which partition.
        partition: PartitionId,
        /// Which.
        seq: FeedSeq,
        /// Why not.
        #[source]
        source: DecodeError,
    },
    /// The request is wrong.
    #[error("{field}: {message}")]
    Request {
        /// The reason of the closed list.
        reason: ErrorReason,
        /// The field at fault.
        field: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// Nothing is known of the user.
    #[error("there is no profile of user {user_id}")]
    NotFound {
        /// Whom.
        user_id: UserId,
    },
    /// What the consistency token covers is no longer there.
    #[error(
        "read_after names records of partition {partition} that the store no longer has: read without it"
    )]
    TokenLapsed {
        /// Where.
        partition: PartitionId,
    },
    /// What the consistency token covers was not applied in time.
    #[error("what read_after covers was not applied within {waited:?}: read again, with more time")]
    ReadAfterTimeout {
        /// How long the read waited.
        waited: Duration,
    },
    /// There is no model yet.
    #[error("there is no model yet: train one by ModelService.TrainModel, or wait for the first")]
    NoModel,
    /// The model in service has no such part.
    #[error("the model in service cannot answer this: {remedy}")]
    NotLearned {
        /// What is missing and what to do.
        remedy: &'static str,
    },
    /// A profile gives a vector that cannot be scored.
    #[error("the profile of user {user_id} cannot be scored")]
    Unscored {
        /// Whose.
        user_id: UserId,
        /// Why.
        source: ScorerError,
    },
    /// The shopper is in no segment yet.
    #[error("user {user_id} is in no segment of the model yet: the sweep has not come by")]
    Unassigned {
        /// Whom.
        user_id: UserId,
    },
    /// The model has no such segment.
    #[error("the model has no segment {segment_id}: ListSegments has those there are")]
    NoSuchSegment {
        /// Which.
        segment_id: SegmentId,
    },
    /// So few shoppers are in the segment that they could be told apart.
    #[error(
        "{size} shoppers are in segment {segment_id}, {least} are the least that query.export_least lets out"
    )]
    TooFew {
        /// Which.
        segment_id: SegmentId,
        /// How many there are.
        size: u64,
        /// How many there must be.
        least: u64,
    },
    /// What is noted of a partition's segments cannot be read.
    #[error("the note of partition {partition} cannot be read")]
    Ledger {
        /// Of which.
        partition: PartitionId,
        /// Why not.
        #[source]
        source: DecodeError,
    },
    /// There is no room for another subscription.
    #[error("all {limit} subscriptions are taken: end one, or raise query.max_subscribers")]
    TooManySubscribers {
        /// How many there may be.
        limit: usize,
    },
    /// The subscriber took nothing for too long.
    #[error("nothing was taken for {after:?}: resume with the last token, and take answers sooner")]
    Stuck {
        /// How long.
        after: Duration,
    },
    /// The process ends.
    #[error("the server is shutting down: resume with the last token")]
    ShuttingDown,
}

impl Error {
    /// The request is wrong: `field` is at fault.
    pub(crate) fn refused(reason: ErrorReason, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Request { reason, field: field.into(), message: message.into() }
    }

    /// Logs what no caller can do anything about: a human must look. Whose profile it is stays out of the log.
    fn log(&self) {
        match self {
            Self::Store(source) if !source.is_retryable() => {
                tracing::error!(error = %source, "the store could not answer");
            }
            Self::Profile { source, .. } => {
                tracing::error!(error = %source, "a stored profile cannot be read");
            }
            Self::Change { partition, seq, source } => {
                tracing::error!(%partition, %seq, error = %source, "a stored change cannot be read");
            }
            Self::Ledger { partition, source } => {
                tracing::error!(%partition, error = %source, "a partition's note cannot be read");
            }
            Self::Unscored { source, .. } => {
                tracing::error!(error = %source, "a profile cannot be scored");
            }
            Self::Store(_)
            | Self::NoModel
            | Self::NotLearned { .. }
            | Self::Unassigned { .. }
            | Self::NoSuchSegment { .. }
            | Self::TooFew { .. }
            | Self::Request { .. }
            | Self::NotFound { .. }
            | Self::TokenLapsed { .. }
            | Self::ReadAfterTimeout { .. }
            | Self::TooManySubscribers { .. }
            | Self::Stuck { .. }
            | Self::ShuttingDown => {}
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.log();
        let message = error.to_string();
        match error {
            Error::Store(source) => Failure::from(&source).into_status(),
            Error::Profile { source, .. } | Error::Change { source, .. } | Error::Ledger { source, .. } => {
                Failure::new(ErrorReason::StoreIncompatible, format!("{message}: {source}")).into_status()
            }
            Error::Request { reason, field, message } => {
                Failure::new(reason, message).field(field).into_status()
            }
            Error::NoModel | Error::Unassigned { .. } => {
                Failure::new(ErrorReason::NoModel, message).retry_after(SUBSCRIBE_AGAIN).into_status()
            }
            Error::NotLearned { .. } => Failure::new(ErrorReason::NotLearned, message).into_status(),
            Error::Unscored { source, .. } => {
                Failure::new(ErrorReason::Internal, format!("{message}: {source}")).into_status()
            }
            Error::NoSuchSegment { .. } => {
                Failure::new(ErrorReason::SegmentNotFound, message).field("segment_id").into_status()
            }
            Error::TooFew { .. } => {
                Failure::new(ErrorReason::TooFewShoppers, message).field("segment_id").into_status()
            }
            Error::NotFound { .. } => Failure::new(ErrorReason::UserNotFound, message).into_status(),
            Error::TokenLapsed { .. } => {
                Failure::new(ErrorReason::TokenLapsed, message).field("read_after").into_status()
            }
            Error::ReadAfterTimeout { .. } => {
                Failure::new(ErrorReason::ReadAfterTimeout, message).into_status()
            }
            Error::TooManySubscribers { .. } => {
                Failure::new(ErrorReason::Overloaded, message).retry_after(SUBSCRIBE_AGAIN).into_status()
            }
            Error::Stuck { .. } => {
                Failure::new(ErrorReason::SubscriberStuck, message).retry_after(SUBSCRIBE_AGAIN).into_status()
            }
            Error::ShuttingDown => {
                Failure::new(ErrorReason::ShuttingDown, message).retry_after(SUBSCRIBE_AGAIN).into_status()
            }
        }
    }
}

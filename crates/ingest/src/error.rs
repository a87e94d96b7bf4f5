//! Error type of the service and its mapping to gRPC status.

use portrait_profile::{DecodeError, ItemId, PartitionId};
use portrait_proto::request::ValidationError;
use portrait_proto::status::{CallFailure, store_reason};
use portrait_proto::v1::ErrorReason;
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// Retry delay reported with an overload, in which a store usually works off what is queued.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Error of a call that cannot be answered item by item.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Failed store request. Shared, since several callers share one append and so its failure.
    #[error("store request failed")]
    Store(#[source] Arc<portrait_store::Error>),
    /// Undecodable stored item of the catalogue.
    #[error("the stored item {item_id:?} cannot be read")]
    Item {
        /// Key of the item.
        item_id: ItemId,
        /// Reason from the decoder.
        #[source]
        source: Arc<DecodeError>,
    },
    /// Request that is invalid as a whole.
    #[error(transparent)]
    Request(#[from] ValidationError),
    /// Full queue: `ingest.queue` bytes wait for the store.
    #[error("the queue has {limit_bytes} bytes and is full: send again later")]
    QueueFull {
        /// Limit of the queue in bytes.
        limit_bytes: usize,
    },
    /// Partition with more unapplied records than `ingest.lag_records_max`.
    #[error(
        "partition {partition} has {lag} records that are not applied, {lag_max} are allowed: send again later"
    )]
    Lagging {
        /// Partition that lags.
        partition: PartitionId,
        /// Records that are not applied.
        lag: u64,
        /// Limit of unapplied records.
        lag_max: u64,
    },
    /// Erasure that is in the logs of some partitions, and not for certain in all.
    #[error("a part of the erasure may be in the log: send it again, with the same event_id ({cause})")]
    PartiallyLogged {
        /// Error of a partition without it.
        cause: String,
    },
    /// Erasure whose record was lost with the newest end of a log.
    #[error("the store has lost the erasure's record in partition {partition}: erase again")]
    ErasureLost {
        /// Partition without the record.
        partition: PartitionId,
    },
    /// Undecodable ledger of a partition.
    #[error("the ledger of a partition cannot be read")]
    Ledger {
        /// Reason from the decoder.
        #[source]
        source: Arc<DecodeError>,
    },
    /// Ledger of sources at `connect.ledger_bytes`.
    #[error(
        "the ids of sources take {bytes} bytes, {bytes_max} are allowed: raise connect.ledger_bytes, or send without `source`, and what \
         is sent again after store.dedup_window counts twice"
    )]
    SourcesFull {
        /// Size of the ledger in bytes.
        bytes: u64,
        /// Limit of the size.
        bytes_max: u64,
    },
    /// Exhausted `events_per_second` of the caller's token.
    #[error("the token's events_per_second are exhausted: send again later")]
    TokenRate {
        /// Time until the rate allows the request.
        retry_after: Duration,
    },
    /// Shutdown of the process.
    #[error("the server is shutting down: send requests without a response again, to another server")]
    ShuttingDown,
}

impl Error {
    /// Returns the reason reported to the caller.
    pub(crate) fn reason(&self) -> ErrorReason {
        match self {
            Self::Store(source) => store_reason(source.failure()),
            Self::Item { .. } | Self::Ledger { .. } => ErrorReason::StoreIncompatible,
            // Retryable, since a retry with the same id completes the erasure.
            Self::PartiallyLogged { .. } => ErrorReason::StoreUnavailable,
            Self::ErasureLost { .. } => ErrorReason::TokenExpired,
            Self::Request(error) => error.reason,
            Self::QueueFull { .. } | Self::Lagging { .. } => ErrorReason::Overloaded,
            Self::TokenRate { .. } => ErrorReason::RateLimited,
            Self::SourcesFull { .. } => ErrorReason::StoreFull,
            Self::ShuttingDown => ErrorReason::ShuttingDown,
        }
    }

    /// Returns true if a part of the batch may have been written in spite of the error.
    pub(crate) fn is_ambiguous(&self) -> bool {
        match self {
            // Unavailable: the request may have reached the store, and only its result is lost.
            Self::Store(source) => matches!(**source, portrait_store::Error::Unavailable(_)),
            // A flush may still append what it holds while the process ends.
            Self::PartiallyLogged { .. } | Self::ShuttingDown => true,
            Self::Item { .. }
            | Self::Request(_)
            | Self::QueueFull { .. }
            | Self::Lagging { .. }
            | Self::TokenRate { .. }
            | Self::SourcesFull { .. }
            | Self::ErasureLost { .. }
            | Self::Ledger { .. } => false,
        }
    }

    /// Returns the message reported to the caller.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Store(source) => source.to_string(),
            Self::Request(error) => error.message.clone(),
            Self::Item { source, .. } | Self::Ledger { source } => format!("{self}: {source}"),
            Self::QueueFull { .. }
            | Self::Lagging { .. }
            | Self::TokenRate { .. }
            | Self::SourcesFull { .. }
            | Self::PartiallyLogged { .. }
            | Self::ErasureLost { .. }
            | Self::ShuttingDown => self.to_string(),
        }
    }
}

impl From<portrait_store::Error> for Error {
    fn from(source: portrait_store::Error) -> Self {
        Self::Store(Arc::new(source))
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let failure = CallFailure::new(error.reason(), error.message());
        match error {
            Error::Store(source) => {
                // A store that is away logs at its own level; only what stays wrong needs an operator.
                if !source.is_retryable() {
                    tracing::error!(error = %source, "store request failed");
                }
                CallFailure::of_store(source.failure(), source.to_string()).into_status()
            }
            Error::Item { source, .. } => {
                tracing::error!(error = %source, "stored item cannot be decoded");
                failure.into_status()
            }
            Error::Ledger { source } => {
                tracing::error!(error = %source, "partition ledger cannot be decoded");
                failure.into_status()
            }
            Error::Request(error) => error.into(),
            // No retry by itself makes room for ids that are kept for ever.
            Error::SourcesFull { .. } => failure.field("source").into_status(),
            Error::ErasureLost { .. } => failure.field("receipt").into_status(),
            Error::TokenRate { retry_after } => failure.retry_after(retry_after).into_status(),
            Error::QueueFull { .. }
            | Error::Lagging { .. }
            | Error::PartiallyLogged { .. }
            | Error::ShuttingDown => failure.retry_after(RETRY_AFTER).into_status(),
        }
    }
}

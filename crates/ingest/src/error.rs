//! Why a call could not be answered item by item, and what the caller is told.

use portrait_profile::{DecodeError, ItemId, PartitionId};
use portrait_proto::request::Refusal;
use portrait_proto::status::{Failure, store_reason};
use portrait_proto::v1::ErrorReason;
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// How long a caller is asked to wait while more is under way than may be.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// What this crate answers instead.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The store could not answer. Several callers share one write, and so its failure.
    #[error("the store could not answer")]
    Store(#[source] Arc<portrait_store::Error>),
    /// A stored item of the catalogue cannot be read.
    #[error("the stored item {item_id:?} cannot be read")]
    Item {
        /// Which.
        item_id: ItemId,
        /// Why not.
        #[source]
        source: Arc<DecodeError>,
    },
    /// The request is refused as a whole.
    #[error(transparent)]
    Request(#[from] Refusal),
    /// The records that wait for the store take as much memory as they may.
    #[error("{limit_bytes} bytes wait for the store already: send again later")]
    QueueFull {
        /// How much may wait.
        limit_bytes: usize,
    },
    /// A partition has more records that are not applied than it may.
    #[error(
        "partition {partition} has {lag} records that are not applied, {lag_max} are allowed: send again later"
    )]
    Lagging {
        /// Which.
        partition: PartitionId,
        /// How many.
        lag: u64,
        /// The limit.
        lag_max: u64,
    },
    /// An erasure is in the logs of some partitions and not, or not for certain, in those of all.
    #[error("a part of the erasure may be in the log: send it again, with the same event_id ({cause})")]
    InPart {
        /// Why not in all.
        cause: String,
    },
    /// The store has lost the log that an erasure was in.
    #[error("the store has lost the erasure's record in partition {partition}: erase again")]
    ErasureLost {
        /// Where.
        partition: PartitionId,
    },
    /// What the owner noted of a partition cannot be read.
    #[error("the note of a partition cannot be read")]
    Ledger {
        /// Why not.
        #[source]
        source: Arc<DecodeError>,
    },
    /// The caller's token has sent as much as it may.
    #[error("the token's events_per_second are used up: send again later")]
    TokenRate {
        /// When more is taken.
        retry_after: Duration,
    },
    /// The process ends.
    #[error("the server is shutting down: send what has no answer again, to another")]
    ShuttingDown,
}

impl Error {
    /// The reason that a caller is given.
    pub(crate) fn reason(&self) -> ErrorReason {
        match self {
            Self::Store(source) => store_reason(source.failure()),
            Self::Item { .. } | Self::Ledger { .. } => ErrorReason::StoreIncompatible,
            Self::InPart { .. } => ErrorReason::StoreUnavailable,
            Self::ErasureLost { .. } => ErrorReason::TokenLapsed,
            Self::Request(refusal) => refusal.reason,
            Self::QueueFull { .. } | Self::Lagging { .. } => ErrorReason::Overloaded,
            Self::TokenRate { .. } => ErrorReason::RateLimited,
            Self::ShuttingDown => ErrorReason::ShuttingDown,
        }
    }

    /// Whether it leaves open if something was written.
    pub(crate) fn leaves_open(&self) -> bool {
        match self {
            Self::Store(source) => matches!(**source, portrait_store::Error::Unavailable(_)),
            Self::InPart { .. } | Self::ShuttingDown => true,
            Self::Item { .. }
            | Self::Request(_)
            | Self::QueueFull { .. }
            | Self::Lagging { .. }
            | Self::TokenRate { .. }
            | Self::ErasureLost { .. }
            | Self::Ledger { .. } => false,
        }
    }

    /// What a person is told.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Store(source) => source.to_string(),
            Self::Request(refusal) => refusal.message.clone(),
            Self::Item { source, .. } | Self::Ledger { source } => format!("{self}: {source}"),
            Self::QueueFull { .. }
            | Self::Lagging { .. }
            | Self::TokenRate { .. }
            | Self::InPart { .. }
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
        let failure = Failure::new(error.reason(), error.message());
        match error {
            Error::Store(source) => {
                if !source.is_retryable() {
                    tracing::error!(error = %source, "the store could not answer");
                }
                Failure::of_store(source.failure(), source.to_string()).into_status()
            }
            Error::Item { source, .. } => {
                tracing::error!(error = %source, "a stored item cannot be read");
                failure.into_status()
            }
            Error::Ledger { source } => {
                tracing::error!(error = %source, "a partition's note cannot be read");
                failure.into_status()
            }
            Error::Request(refusal) => refusal.into(),
            Error::ErasureLost { .. } => failure.field("receipt").into_status(),
            Error::TokenRate { retry_after } => failure.retry_after(retry_after).into_status(),
            Error::QueueFull { .. } | Error::Lagging { .. } | Error::InPart { .. } | Error::ShuttingDown => {
                failure.retry_after(RETRY_AFTER).into_status()
            }
        }
    }
}

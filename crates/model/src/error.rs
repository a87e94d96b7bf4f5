//! Errors of training, publishing and broadcasting a model, and their gRPC status.

use crate::manifest::InvalidManifest;
use portrait_learning::ModelError;
use portrait_profile::ModelVersion;
use portrait_proto::request::ValidationError;
use portrait_proto::status::{CallFailure, with_causes};
use portrait_proto::v1::ErrorReason;
use std::time::Duration;
use tonic::Status;

/// Retry delay suggested while another training runs, or when all watcher slots are taken.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Error of the model service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store request failed.
    #[error("store request failed")]
    Store(#[from] portrait_store::Error),
    /// The feature vectors cannot be read.
    #[error("feature vectors cannot be read: {0}")]
    Features(#[source] Box<Status>),
    /// Learning failed on these vectors.
    #[error("learning failed on these vectors")]
    Learning(#[from] portrait_learning::Error),
    /// The learned parts do not form a valid model.
    #[error("the learned parts do not form a model that can be served")]
    Model(#[from] ModelError),
    /// Every node would refuse the candidate, which is therefore not published.
    #[error("the candidate is not published, because every node would refuse it: {problem}")]
    Candidate {
        /// Part, check and value that failed.
        problem: InvalidManifest,
    },
    /// A stored model cannot be read.
    #[error("stored model {version} cannot be read: {problem}")]
    Stored {
        /// Version of the model.
        version: u64,
        /// Reason that it cannot be read.
        problem: String,
    },
    /// The trained model fits worse than the served one on the same vectors.
    #[error(
        "the candidate is {increase:.1}% worse than the served model on the same vectors, {allowed:.1}% are allowed: \
             ask with force to publish it all the same"
    )]
    InertiaIncreased {
        /// Increase of inertia, in percent.
        increase: f64,
        /// Allowed increase (`model.inertia_increase_max`), in percent.
        allowed: f64,
    },
    /// Fewer users than `model.rows_min`, for the first model that is trained by itself.
    #[error("{rows} users found, {needed} needed: wait for more users, or lower model.rows_min")]
    TooFew {
        /// Number of users found.
        rows: usize,
        /// Number of users required.
        needed: usize,
    },
    /// Nothing can be learned from a single user.
    #[error(
        "{rows} users found, {needed} needed: a model is learned from what several users did, so send or import events first"
    )]
    NothingToLearn {
        /// Number of users found.
        rows: usize,
        /// Number of users required.
        needed: usize,
    },
    /// An erasure completed while the model was trained from vectors of before it.
    #[error(
        "a user was erased completely since the vectors were read, and the model may name the user: train again"
    )]
    ErasedSinceSampling,
    /// Another training is running, in this process or another.
    #[error("another training is running: try again when it has ended")]
    Busy,
    /// The registry has no such version.
    #[error("model {version} not found: ListModels returns the available versions")]
    NotFound {
        /// Version of the model.
        version: u64,
    },
    /// No model has been published yet.
    #[error("no model yet: train one by TrainModel, or wait for the first")]
    NoModel,
    /// The request is invalid.
    #[error(transparent)]
    Request(#[from] ValidationError),
    /// The limit of watching nodes is reached.
    #[error("all {limit} watcher slots are taken: raise model.max_watchers")]
    TooManyWatchers {
        /// Configured limit (`model.max_watchers`).
        limit: usize,
    },
    /// The process is shutting down.
    #[error("the server is shutting down: retry, or use another server")]
    ShuttingDown,
    /// The training thread panicked.
    #[error("the training thread panicked")]
    Panicked,
}

impl Error {
    /// Creates the error of an unreadable stored version.
    pub(crate) fn stored(version: ModelVersion, problem: &impl ToString) -> Self {
        Self::Stored { version: version.get(), problem: problem.to_string() }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = with_causes(&error);
        match error {
            // The store's failure decides the reason, so that clients see the same one from every service.
            Error::Store(source) => CallFailure::of_store(source.failure(), source.to_string()).into_status(),
            // Passed through: the status of the feature service has a reason and a retry delay already.
            Error::Features(status) => *status,
            Error::Learning(portrait_learning::Error::TooFew { .. })
            | Error::TooFew { .. }
            | Error::NothingToLearn { .. } => {
                CallFailure::new(ErrorReason::TooFewUsers, message).into_status()
            }
            Error::Learning(_)
            | Error::Model(_)
            | Error::Candidate { .. }
            | Error::InertiaIncreased { .. }
            | Error::Panicked => CallFailure::new(ErrorReason::Internal, message).into_status(),
            Error::Stored { .. } => CallFailure::new(ErrorReason::StoreIncompatible, message).into_status(),
            // Retryable: the next training reads the vectors again.
            Error::Busy | Error::ErasedSinceSampling => {
                CallFailure::new(ErrorReason::TrainingInProgress, message)
                    .retry_after(RETRY_AFTER)
                    .into_status()
            }
            Error::NotFound { .. } => {
                CallFailure::new(ErrorReason::ModelNotFound, message).field("version").into_status()
            }
            Error::NoModel => CallFailure::new(ErrorReason::NoModel, message).into_status(),
            Error::Request(refusal) => refusal.into(),
            Error::TooManyWatchers { .. } => {
                CallFailure::new(ErrorReason::Overloaded, message).retry_after(RETRY_AFTER).into_status()
            }
            Error::ShuttingDown => {
                CallFailure::new(ErrorReason::ShuttingDown, message).retry_after(RETRY_AFTER).into_status()
            }
        }
    }
}

//! Why a model could not be trained, published or told, and what the caller is told.

use portrait_learning::ModelError;
use portrait_profile::ModelVersion;
use portrait_proto::request::Refusal;
use portrait_proto::status::{Failure, with_causes};
use portrait_proto::v1::ErrorReason;
use std::time::Duration;
use tonic::Status;

/// How long a caller is asked to wait while another trains, or watches.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What this crate answers instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store could not answer.
    #[error("the store could not answer")]
    Store(#[from] portrait_store::Error),
    /// Vectors could not be read.
    #[error("vectors could not be read: {0}")]
    Features(#[source] Box<Status>),
    /// Nothing can be learned from the vectors.
    #[error("nothing can be learned from the vectors")]
    Learning(#[from] portrait_learning::Error),
    /// What was learned is no model.
    #[error("what was learned is no model that can be served")]
    Model(#[from] ModelError),
    /// What is stored of a model cannot be read.
    #[error("what is stored of model {version} cannot be read: {problem}")]
    Stored {
        /// Which.
        version: u64,
        /// Why not.
        problem: String,
    },
    /// The candidate is worse than the model that is served.
    #[error(
        "the candidate is {worse:.1}% worse than the served model on the same vectors, {allowed:.1}% are allowed: \
             ask with force to publish it all the same"
    )]
    Worse {
        /// By how much, in percent.
        worse: f64,
        /// How much is allowed, in percent.
        allowed: f64,
    },
    /// There are too few shoppers.
    #[error("{rows} shoppers are there, {needed} are needed: wait for more, or lower model.rows_min")]
    TooFew {
        /// How many there are.
        rows: usize,
        /// How many are needed.
        needed: usize,
    },
    /// Another training is under way, here or elsewhere.
    #[error("another training is under way: ask again when it is over")]
    Busy,
    /// There is no such model.
    #[error("there is no model {version}: ListModels has those there are")]
    NotFound {
        /// Which.
        version: u64,
    },
    /// There is no model at all.
    #[error("there is no model yet: train one by TrainModel, or wait for the first")]
    NoModel,
    /// The request is wrong.
    #[error(transparent)]
    Request(#[from] Refusal),
    /// Every place to watch is taken.
    #[error("all {limit} places to watch are taken: raise model.max_watchers")]
    TooManyWatchers {
        /// How many there are.
        limit: usize,
    },
    /// The process ends.
    #[error("the server is shutting down: ask another, or again")]
    ShuttingDown,
    /// A thread that computes has ended in a panic.
    #[error("the training ended in a fault")]
    Panicked,
}

impl Error {
    /// What is stored of a version cannot be read, because of `problem`.
    pub(crate) fn stored(version: ModelVersion, problem: &impl ToString) -> Self {
        Self::Stored { version: version.get(), problem: problem.to_string() }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = with_causes(&error);
        match error {
            Error::Store(source) => Failure::of_store(source.failure(), source.to_string()).into_status(),
            Error::Features(status) => *status,
            Error::Learning(portrait_learning::Error::TooFew { .. }) | Error::TooFew { .. } => {
                Failure::new(ErrorReason::TooFewShoppers, message).into_status()
            }
            Error::Learning(_) | Error::Model(_) | Error::Worse { .. } | Error::Panicked => {
                Failure::new(ErrorReason::Internal, message).into_status()
            }
            Error::Stored { .. } => Failure::new(ErrorReason::StoreIncompatible, message).into_status(),
            Error::Busy => {
                Failure::new(ErrorReason::TrainingElsewhere, message).retry_after(RETRY_AFTER).into_status()
            }
            Error::NotFound { .. } => {
                Failure::new(ErrorReason::ModelNotFound, message).field("version").into_status()
            }
            Error::NoModel => Failure::new(ErrorReason::NoModel, message).into_status(),
            Error::Request(refusal) => refusal.into(),
            Error::TooManyWatchers { .. } => {
                Failure::new(ErrorReason::Overloaded, message).retry_after(RETRY_AFTER).into_status()
            }
            Error::ShuttingDown => {
                Failure::new(ErrorReason::ShuttingDown, message).retry_after(RETRY_AFTER).into_status()
            }
        }
    }
}

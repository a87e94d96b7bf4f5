//! Commands of the handlers to the trainer: a training or a drift check, with the channels for the result and the
//! progress.

use crate::error::Error;
use portrait_proto::v1::{DriftStatus, ModelManifest, TrainProgress};
use tokio::sync::{mpsc, oneshot};

/// Commands queued for the trainer. A training takes minutes, so later callers get `Busy` instead of a long wait.
pub(crate) const DEMANDS_WAITING: usize = 4;

/// Command to the trainer.
pub(crate) enum Demand {
    /// Trains a model and publishes it.
    Train { count: Count, force: bool, progress: Progress, answer: oneshot::Sender<Trained> },
    /// Checks drift, and trains if it persists.
    Look { answer: oneshot::Sender<Result<(DriftStatus, Option<Trained>), Error>> },
}

/// Result of a training.
pub(crate) type Trained = Result<ModelManifest, Error>;

/// Number of segments of a new model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// Same number as the served model; chosen by silhouette if there is none.
    Same,
    /// Chosen by silhouette within the configured range.
    Chosen,
    /// Exactly this number.
    Exactly(usize),
}

/// Progress channel of a training. A caller that does not read is never waited for.
#[derive(Clone, Default)]
pub(crate) struct Progress(Option<mpsc::Sender<TrainProgress>>);

impl Progress {
    /// Creates a reporter that discards progress.
    pub(crate) fn silent() -> Self {
        Self::default()
    }

    /// Creates a reporter that sends to `sender`.
    pub(crate) fn to(sender: mpsc::Sender<TrainProgress>) -> Self {
        Self(Some(sender))
    }

    /// Reports a stage with `done` of `total` units; a total of 0 is unknown.
    pub(crate) fn tell(&self, stage: &str, done: u64, total: u64) {
        if let Some(sender) = &self.0 {
            // A full queue means that the caller is behind: training must not wait, and the next report replaces this
            // one.
            let _ = sender.try_send(TrainProgress { stage: stage.to_owned(), done, total });
        }
    }
}

//! Commands of the handlers to the trainer: a training or a drift check, with the channels for the result and the
//! progress.

use crate::error::Error;
use portrait_profile::ModelVersion;
use portrait_proto::v1::{DriftStatus, ModelManifest, TrainProgress};
use portrait_store::RegistryNo;
use tokio::sync::{mpsc, oneshot};

/// Commands queued for the trainer. A training takes minutes, so later callers get `Busy` instead of a long wait.
pub(crate) const COMMANDS_QUEUED_MAX: usize = 4;

/// Command to the trainer.
pub(crate) enum TrainerCommand {
    /// Trains a model and publishes it.
    Train {
        count: SegmentCount,
        force: bool,
        progress: ProgressReporter,
        answer: oneshot::Sender<TrainingResult>,
    },
    /// Checks drift, and trains if it persists.
    CheckDrift { answer: oneshot::Sender<Result<(DriftStatus, Option<TrainingResult>), Error>> },
}

/// Version that became the active one.
pub(crate) struct Activation {
    /// Manifest of the version.
    pub(crate) manifest: ModelManifest,
    /// Version that was active before; none for the first.
    pub(crate) previous: Option<ModelVersion>,
    /// Number of the registry with the activation.
    pub(crate) registry_no: RegistryNo,
}

/// Result of a training.
pub(crate) type TrainingResult = Result<Activation, Error>;

/// Number of segments of a new model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentCount {
    /// Same number as the last model with segments; chosen by silhouette if there is none.
    Unchanged,
    /// Chosen by silhouette within the configured range.
    Auto,
    /// Exactly this number, as requested.
    Exactly(usize),
}

/// Progress channel of a training. A caller that does not read is never waited for.
#[derive(Clone, Default)]
pub(crate) struct ProgressReporter(Option<mpsc::Sender<TrainProgress>>);

impl ProgressReporter {
    /// Creates a reporter that discards progress.
    pub(crate) fn silent() -> Self {
        Self::default()
    }

    /// Creates a reporter that sends to `sender`.
    pub(crate) fn to(sender: mpsc::Sender<TrainProgress>) -> Self {
        Self(Some(sender))
    }

    /// Reports a stage with `done` of `total` units; a total of 0 is unknown.
    pub(crate) fn report(&self, stage: &str, done: u64, total: u64) {
        if let Some(sender) = &self.0 {
            // A full queue means that the caller is behind: training must not wait, and the next report replaces this
            // one.
            let _ = sender.try_send(TrainProgress { stage: stage.to_owned(), done, total });
        }
    }
}

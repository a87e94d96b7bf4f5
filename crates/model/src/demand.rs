//! Demands on the trainer, as calls put them into its queue: a training or a look at drift, and where the answer and the
//! progress go.

use crate::error::Error;
use portrait_proto::v1::{DriftStatus, ModelManifest, TrainProgress};
use tokio::sync::{mpsc, oneshot};

/// Who asks and is not served yet waits here; more are told that the trainer is busy.
pub(crate) const DEMANDS_WAITING: usize = 4;

/// What somebody asked for.
pub(crate) enum Demand {
    /// A training.
    Train { count: Count, force: bool, progress: Progress, answer: oneshot::Sender<Trained> },
    /// A look at drift, and the training that it gives cause for.
    Look { answer: oneshot::Sender<Result<(DriftStatus, Option<Trained>), Error>> },
}

/// What became of a training.
pub(crate) type Trained = Result<ModelManifest, Error>;

/// How many segments a candidate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// As many as the model before; chosen if there is none.
    Same,
    /// Whatever suits the vectors best.
    Chosen,
    /// So many.
    Exactly(usize),
}

/// Where a training tells how far it is. Whoever does not listen is not waited for.
#[derive(Clone, Default)]
pub(crate) struct Progress(Option<mpsc::Sender<TrainProgress>>);

impl Progress {
    /// Tells nobody.
    pub(crate) fn silent() -> Self {
        Self::default()
    }

    /// Tells a caller.
    pub(crate) fn to(sender: mpsc::Sender<TrainProgress>) -> Self {
        Self(Some(sender))
    }

    /// Tells a stage and how much of it is done.
    pub(crate) fn tell(&self, stage: &str, done: u64, total: u64) {
        if let Some(sender) = &self.0 {
            // A full queue means that the caller is behind; the next word will do.
            let _ = sender.try_send(TrainProgress { stage: stage.to_owned(), done, total });
        }
    }
}

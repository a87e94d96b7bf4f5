//! State shared by the trainer, the watchers and the handlers: the store, the registry as last read, and the command
//! queue of the trainer. It sits below all of them and imports none.

use crate::command::TrainerCommand;
use crate::config::ValidConfig;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::nodes::NodeRegistry;
use portrait_profile::Timestamp;
use portrait_proto::v1::DriftStatus;
use portrait_runtime::SharedClock;
use portrait_runtime::peer::Peer;
use portrait_store::{Nonce, Registry, TrainingStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// State shared by trainer, watchers and handlers.
pub(crate) struct ModelContext {
    /// Store of the models and of the training lease.
    pub(crate) store: Arc<dyn TrainingStore>,
    /// Connection to `FeatureService`, the source of the vectors.
    pub(crate) features: Peer,
    /// Wall clock of the process.
    pub(crate) clock: SharedClock,
    /// Validated section `[model]` of the configuration.
    pub(crate) config: ValidConfig,
    /// Metrics of this service.
    pub(crate) metrics: Metrics,
    /// Identity of this process in the training lease.
    pub(crate) nonce: Nonce,
    /// Name of this process; one that restarts under it takes back its training lease.
    pub(crate) name: Arc<str>,
    /// Registry as last read from the store; written by one task.
    pub(crate) registry: watch::Sender<Registry>,
    /// Result of the newest drift check; none before the first.
    pub(crate) drift: watch::Sender<Option<DriftStatus>>,
    /// Watching nodes and the versions that they serve.
    pub(crate) nodes: NodeRegistry,
    /// Command queue of the trainer.
    pub(crate) commands: mpsc::Sender<TrainerCommand>,
    /// Cancelled when the service drains: watchers get a status and the trainer ends.
    pub(crate) closing: CancellationToken,
    /// Watchers, the trainer and the registry task, so that a drain can wait for them.
    pub(crate) tasks: TaskTracker,
}

impl ModelContext {
    /// Returns the wall-clock time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }

    /// Reads the registry from the store, past the cached copy.
    pub(crate) async fn stored_registry(&self) -> Result<Registry, Error> {
        Ok(self.store.registry(None, Duration::ZERO).await?)
    }

    /// Sends a command to the trainer without waiting.
    ///
    /// # Errors
    /// `Busy` if the queue is full.
    pub(crate) fn send_command(&self, demand: TrainerCommand) -> Result<(), Error> {
        // Never waits: the caller gets a retryable error instead of holding a call for the length of a training.
        self.commands.try_send(demand).map_err(|_| Error::Busy)
    }
}

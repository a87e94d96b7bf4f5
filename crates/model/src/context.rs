//! State of this service that the trainer, the watchers and calls share: the store, the registry as it was last read, the
//! queue of demands. It stands below every verb and knows none of them.

use crate::config::ValidConfig;
use crate::demand::Demand;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
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

/// State that trainer, watchers and calls share.
pub(crate) struct Shared {
    /// Where models are.
    pub(crate) store: Arc<dyn TrainingStore>,
    /// Where vectors come from.
    pub(crate) features: Peer,
    /// The clock on the wall.
    pub(crate) clock: SharedClock,
    /// How this room is set.
    pub(crate) config: ValidConfig,
    /// What is measured.
    pub(crate) metrics: Metrics,
    /// This process, among all that ask for the right to train.
    pub(crate) nonce: Nonce,
    /// The models as the store has them; followed by one task.
    pub(crate) registry: watch::Sender<Registry>,
    /// What was last seen of drift.
    pub(crate) drift: watch::Sender<Option<DriftStatus>>,
    /// Who watches.
    pub(crate) nodes: Nodes,
    /// To the trainer.
    pub(crate) demands: mpsc::Sender<Demand>,
    /// Cancelled when the room drains: watchers are told, the trainer ends.
    pub(crate) closing: CancellationToken,
    /// Watchers, the trainer and who follows the registry, so that a drain can wait for them.
    pub(crate) tasks: TaskTracker,
}

impl Shared {
    /// What the clock on the wall says.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }

    /// Reads the models as the store has them at this moment.
    pub(crate) async fn stored_registry(&self) -> Result<Registry, Error> {
        Ok(self.store.registry(None, Duration::ZERO).await?)
    }

    /// Puts a demand into the trainer's queue.
    ///
    /// # Errors
    /// `Busy` if the queue is full.
    pub(crate) fn demand(&self, demand: Demand) -> Result<(), Error> {
        self.demands.try_send(demand).map_err(|_| Error::Busy)
    }
}

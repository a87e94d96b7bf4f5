//! State shared by reads, tails and subscribers: the store, the clocks, the active model and the newest changes of
//! every partition. It sits below all handlers and imports none.

use crate::config::ValidConfig;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::watch::ring::ChangeRing;
use portrait_learning::{Model, ServedModel};
use portrait_profile::{PartitionId, ProfileView, Timestamp};
use portrait_proto::v1;
use portrait_runtime::SharedClock;
use portrait_runtime::telemetry::trace::Tracer;
use portrait_store::{ProfileClock, ReadStore};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// State shared by reads, tails and subscribers.
pub(crate) struct QueryContext {
    /// Store of profiles and feeds.
    pub(crate) store: Arc<dyn ReadStore>,
    /// Clock that profiles decay by: wall time or event time.
    pub(crate) profile_clock: ProfileClock,
    /// Wall clock of the process.
    pub(crate) clock: SharedClock,
    /// Validated section `[query]` of the configuration.
    pub(crate) config: ValidConfig,
    /// Active model; none before the first.
    pub(crate) model: watch::Receiver<ServedModel>,
    /// Metrics of this service.
    pub(crate) metrics: Metrics,
    /// Tracer of change deliveries.
    pub(crate) tracer: Tracer,
    /// Ring of the newest changes of each partition, by partition number. Only the tail of the partition writes it.
    pub(crate) rings: Vec<ChangeRing>,
    /// Signal that some ring has changed; every subscriber waits on it.
    pub(crate) feed_changed: watch::Sender<()>,
    /// One permit per allowed subscription; held by its stream, so that total memory is bounded.
    pub(crate) subscription_permits: Arc<Semaphore>,
    /// Cancelled when the service drains: subscriptions end and new ones are refused.
    pub(crate) closing: CancellationToken,
    /// Tails and subscribers, so that a drain can wait for them.
    pub(crate) tasks: TaskTracker,
}

impl QueryContext {
    /// Returns the wall-clock time.
    pub(crate) fn wall_now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }

    /// Returns the read time of a request without `read_at`.
    pub(crate) async fn profile_now(&self) -> Result<Timestamp, portrait_store::Error> {
        // With the event clock a replayed log is read at its newest event, not years of decay later.
        self.profile_clock.now(self.store.as_ref(), self.wall_now()).await
    }

    /// Returns the newest model.
    ///
    /// # Errors
    /// `NoModel` before the first.
    pub(crate) fn served(&self) -> Result<Arc<Model>, Error> {
        self.model.borrow().clone().ok_or(Error::NoModel)
    }

    /// Converts a profile to the wire, with the name of its segment.
    pub(crate) fn profile_to_wire(&self, view: ProfileView) -> v1::Profile {
        let id = view.segment.map(|membership| membership.segment_id);
        let mut profile = v1::Profile::from(view);
        // A profile stores the segment id only; the name belongs to the active model.
        if let (Some(segment), Some(id), Some(model)) = (&mut profile.segment, id, &*self.model.borrow()) {
            segment.name = model.segment_name(id).unwrap_or_default().to_owned();
        }
        profile
    }

    /// Returns the ring of a partition.
    pub(crate) fn ring(&self, partition: PartitionId) -> &ChangeRing {
        &self.rings[partition.index()]
    }
}

//! State of this service that reads, tails and subscribers share: the store, the clocks, the model that is served and the
//! newest changes of every partition. It stands below every verb and knows none of them.

use crate::config::ValidConfig;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::watch::Ring;
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

/// State that reads, tails and subscribers share.
pub(crate) struct Shared {
    /// Where profiles and feeds are.
    pub(crate) store: Arc<dyn ReadStore>,
    /// Which clock profiles decay by.
    pub(crate) profile_clock: ProfileClock,
    /// The clock on the wall.
    pub(crate) clock: SharedClock,
    /// How this room is set.
    pub(crate) config: ValidConfig,
    /// The newest model.
    pub(crate) model: watch::Receiver<ServedModel>,
    /// What is measured.
    pub(crate) metrics: Metrics,
    /// What deliveries are followed with.
    pub(crate) tracer: Tracer,
    /// The newest changes of each partition, by its number. Its tail alone writes; dropping one costs reads of the store.
    pub(crate) rings: Vec<Ring>,
    /// Rung by the tails whenever a ring changed; every subscriber listens.
    pub(crate) pulse: watch::Sender<()>,
    /// One for each subscription there may be; held by its stream, so that the memory of all is bounded.
    pub(crate) seats: Arc<Semaphore>,
    /// Cancelled when the room drains: subscribers end, new ones are refused.
    pub(crate) closing: CancellationToken,
    /// Tails and subscribers, so that a drain can wait for them.
    pub(crate) tasks: TaskTracker,
}

impl Shared {
    /// What the clock on the wall says.
    pub(crate) fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }

    /// The moment that profiles are given at when nobody names one.
    pub(crate) async fn moment(&self) -> Result<Timestamp, portrait_store::Error> {
        self.profile_clock.now(self.store.as_ref(), self.wall()).await
    }

    /// Returns the newest model.
    ///
    /// # Errors
    /// `NoModel` before the first.
    pub(crate) fn served(&self) -> Result<Arc<Model>, Error> {
        self.model.borrow().clone().ok_or(Error::NoModel)
    }

    /// A profile for a caller: with the name of its segment.
    pub(crate) fn told(&self, view: ProfileView) -> v1::Profile {
        let id = view.segment.map(|membership| membership.segment_id);
        let mut profile = v1::Profile::from(view);
        if let (Some(segment), Some(id), Some(model)) = (&mut profile.segment, id, &*self.model.borrow()) {
            segment.name = model.name(id).unwrap_or_default().to_owned();
        }
        profile
    }

    /// The newest changes of a partition.
    pub(crate) fn ring(&self, partition: PartitionId) -> &Ring {
        &self.rings[partition.index()]
    }
}

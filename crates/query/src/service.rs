//! Builds the room, follows the feeds, and drains: subscribers are told to resume elsewhere, and the tails end.

use crate::config::ValidConfig;
use crate::grpc::Grpc;
use crate::metrics::Metrics;
use crate::watch::{Ring, tail};
use portrait_learning::ServedModel;
use portrait_profile::{PartitionId, ProfileView, Timestamp};
use portrait_proto::v1;
use portrait_proto::v1::query_service_server::{self, QueryServiceServer};
use portrait_runtime::SharedClock;
use portrait_runtime::telemetry::Instruments;
use portrait_runtime::telemetry::trace::Tracer;
use portrait_store::{ProfileClock, ReadStore};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codec::CompressionEncoding;

/// The room: reads, tails and subscribers.
pub struct QueryService {
    shared: Arc<Shared>,
}

/// What reads, tails and subscribers share.
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

impl QueryService {
    /// Puts the room together; nothing runs yet.
    pub fn build(
        store: Arc<dyn ReadStore>,
        profile_clock: ProfileClock,
        clock: SharedClock,
        with: Instruments,
        model: watch::Receiver<ServedModel>,
        config: ValidConfig,
    ) -> Self {
        let partitions = store.layout().partitions;
        let ring = |_| Ring::new(config.ring_changes, config.ring_bytes);
        let shared = Shared {
            store,
            profile_clock,
            clock,
            config,
            model,
            tracer: with.tracer,
            metrics: Metrics::new(&with.meter),
            rings: partitions.all().map(ring).collect(),
            pulse: watch::Sender::new(()),
            seats: Arc::new(Semaphore::new(config.max_subscribers)),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The gRPC service.
    pub fn grpc(&self) -> QueryServiceServer<impl query_service_server::QueryService + use<>> {
        QueryServiceServer::new(Grpc { shared: Arc::clone(&self.shared) })
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(self.shared.config.max_request)
            .max_encoding_message_size(self.shared.config.max_response)
    }

    /// Follows the feeds until `shutdown`; the handle ends when the last subscriber was told and the tails have ended.
    pub fn run(&self, shutdown: &CancellationToken) -> JoinHandle<()> {
        for partition in self.shared.store.layout().partitions.all() {
            self.shared.tasks.spawn(tail::follow(Arc::clone(&self.shared), partition));
        }
        let (shared, shutdown) = (Arc::clone(&self.shared), shutdown.clone());
        tokio::spawn(async move {
            shutdown.cancelled().await;
            shared.closing.cancel();
            shared.tasks.close();
            shared.tasks.wait().await;
        })
    }
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

    /// The newest model, if there is one.
    pub(crate) fn served(&self) -> ServedModel {
        self.model.borrow().clone()
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

//! Builds the room, runs a worker for each partition, and drains: every worker finishes its commit and gives its lease back.

use crate::config::ValidConfig;
use crate::context::{Ownership, Shared};
use crate::grpc::Grpc;
use crate::metrics::Metrics;
use crate::roster::{self, Share};
use crate::worker::Worker;
use portrait_learning::ServedModel;
use portrait_proto::v1::feature_service_server::{self, FeatureServiceServer};
use portrait_runtime::SharedClock;
use portrait_runtime::telemetry::Instruments;
use portrait_store::{Nonce, ProfileClock, WorkerStore};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codec::CompressionEncoding;

/// The room: workers and edge.
pub struct FeatureService {
    shared: Arc<Shared>,
    share: watch::Sender<Share>,
}

impl FeatureService {
    /// Puts the room together; nothing runs yet. `name` is what people call this process.
    pub fn build(
        store: Arc<dyn WorkerStore>,
        name: String,
        profile_clock: ProfileClock,
        clock: SharedClock,
        with: Instruments,
        model: watch::Receiver<ServedModel>,
        config: ValidConfig,
    ) -> Self {
        let ownership = watch::Sender::new(Ownership::default());
        let metrics = Metrics::new(&with.meter, Arc::clone(&clock));
        let nonce = Nonce::random();
        let rewritten_at_ms = AtomicI64::new(0);
        let shared = Shared {
            store,
            profile_clock,
            clock,
            config,
            metrics,
            tracer: with.tracer,
            nonce,
            name,
            ownership,
            model,
            rewritten_at_ms,
        };
        Self { shared: Arc::new(shared), share: watch::Sender::new(Share::default()) }
    }

    /// The gRPC service.
    pub fn grpc(&self) -> FeatureServiceServer<impl feature_service_server::FeatureService + use<>> {
        FeatureServiceServer::new(Grpc { shared: Arc::clone(&self.shared) })
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(self.shared.config.max_request)
            .max_encoding_message_size(self.shared.config.max_response)
    }

    /// What of the partitions this process owns, now and whenever it changes.
    pub fn ownership(&self) -> watch::Receiver<Ownership> {
        self.shared.ownership.subscribe()
    }

    /// Runs the workers until `shutdown`; the handle ends when the last one has given its lease back.
    #[expect(
        clippy::disallowed_methods,
        reason = "the caller owns the handle, which ends with the last task"
    )]
    pub fn run(&self, shutdown: &CancellationToken) -> JoinHandle<()> {
        let tracker = TaskTracker::new();
        tracker.spawn(roster::attend(Arc::clone(&self.shared), self.share.clone(), shutdown.clone()));
        for partition in self.shared.store.layout().partitions.all() {
            let worker = Worker::new(Arc::clone(&self.shared), self.share.subscribe(), partition);
            tracker.spawn(worker.run(shutdown.clone()));
        }
        tracker.close();
        tokio::spawn(async move { tracker.wait().await })
    }
}

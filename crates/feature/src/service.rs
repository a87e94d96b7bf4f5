//! Builds the service, runs one worker per assigned partition, and drains: each worker finishes its commit and releases its lease.

use crate::assignment::{self, PartitionAssignment};
use crate::config::ValidConfig;
use crate::context::{FeatureContext, Ownership};
use crate::grpc::Grpc;
use crate::logs::OwnedLogs;
use crate::metrics::Metrics;
use crate::storage;
use crate::workers::PartitionWorkers;
use portrait_learning::ServedModel;
use portrait_proto::v1::feature_service_server::{self, FeatureServiceServer};
use portrait_runtime::SharedClock;
use portrait_runtime::telemetry::Instruments;
use portrait_store::{Nonce, ProfileClock, WorkerStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codec::CompressionEncoding;

/// Feature service: the workers of all partitions and the gRPC handlers.
pub struct FeatureService {
    shared: Arc<FeatureContext>,
    assignment: watch::Sender<PartitionAssignment>,
}

impl FeatureService {
    /// Builds the service; no task runs yet. `name` identifies this process: no other one may run under it at
    /// the same time, and one that restarts under it takes back its partitions.
    pub fn build(
        store: Arc<dyn WorkerStore>,
        name: String,
        profile_clock: ProfileClock,
        clock: SharedClock,
        instruments: Instruments,
        model: watch::Receiver<ServedModel>,
        config: ValidConfig,
    ) -> Self {
        let ownership = watch::Sender::new(Ownership::default());
        let metrics = Metrics::new(&instruments.meter, Arc::clone(&clock));
        let nonce = Nonce::random();
        let rewritten_at_ms = AtomicI64::new(0);
        let shared = FeatureContext {
            store,
            profile_clock,
            clock,
            config,
            metrics,
            tracer: instruments.tracer,
            nonce,
            name: name.into(),
            ownership,
            model,
            rewritten_at_ms,
            logs: OwnedLogs::default(),
            duplicate_name_logged: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), assignment: watch::Sender::new(PartitionAssignment::default()) }
    }

    /// Returns the gRPC service with its message limits.
    pub fn grpc(&self) -> FeatureServiceServer<impl feature_service_server::FeatureService + use<>> {
        FeatureServiceServer::new(Grpc { shared: Arc::clone(&self.shared) })
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(self.shared.config.max_request)
            .max_encoding_message_size(self.shared.config.max_response)
    }

    /// Returns a receiver of this process's [`Ownership`].
    pub fn ownership(&self) -> watch::Receiver<Ownership> {
        self.shared.ownership.subscribe()
    }

    /// Runs the workers until `shutdown`; the handle ends when the last lease is released.
    #[expect(
        clippy::disallowed_methods,
        reason = "the caller owns the handle, which ends with the last task"
    )]
    pub fn run(&self, shutdown: &CancellationToken) -> JoinHandle<()> {
        let tracker = TaskTracker::new();
        tracker.spawn(assignment::run_membership(
            Arc::clone(&self.shared),
            self.assignment.clone(),
            shutdown.clone(),
        ));
        tracker.spawn(storage::run(Arc::clone(&self.shared), shutdown.clone()));
        let workers = PartitionWorkers::new(Arc::clone(&self.shared), self.assignment.subscribe());
        tracker.spawn(workers.run(shutdown.clone()));
        tracker.close();
        tokio::spawn(async move { tracker.wait().await })
    }
}

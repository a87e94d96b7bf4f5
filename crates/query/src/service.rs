//! Construction and lifecycle of the query service: feed tails, and drain with a final status for every subscriber.

use crate::config::ValidConfig;
use crate::context::QueryContext;
use crate::grpc::Grpc;
use crate::metrics::Metrics;
use crate::watch::ring::ChangeRing;
use crate::watch::tail;
use portrait_learning::ServedModel;
use portrait_proto::v1::query_service_server::{self, QueryServiceServer};
use portrait_runtime::telemetry::Instruments;
use portrait_runtime::{SharedClock, shutdown};
use portrait_store::{ProfileClock, ReadStore};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codec::CompressionEncoding;

/// Query service: reads, tails and subscribers.
pub struct QueryService {
    shared: Arc<QueryContext>,
}

impl QueryService {
    /// Builds the service without starting tasks.
    pub fn build(
        store: Arc<dyn ReadStore>,
        profile_clock: ProfileClock,
        clock: SharedClock,
        with: Instruments,
        model: watch::Receiver<ServedModel>,
        config: ValidConfig,
    ) -> Self {
        let partitions = store.layout().partitions;
        let shared = QueryContext {
            store,
            profile_clock,
            clock,
            config,
            model,
            tracer: with.tracer,
            metrics: Metrics::new(&with.meter, config.max_subscribers),
            rings: partitions
                .all()
                .map(|_| ChangeRing::new(config.ring_changes, config.ring_bytes))
                .collect(),
            feed_changed: watch::Sender::new(()),
            subscription_permits: Arc::new(Semaphore::new(config.max_subscribers)),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the gRPC service.
    pub fn grpc(&self) -> QueryServiceServer<impl query_service_server::QueryService + use<>> {
        QueryServiceServer::new(Grpc { shared: Arc::clone(&self.shared) })
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(self.shared.config.max_request)
            .max_encoding_message_size(self.shared.config.max_response)
    }

    /// Tails the feeds until `shutdown`; the handle ends when every subscriber has its final status and the tails
    /// have ended.
    pub fn run(&self, shutdown: &CancellationToken) -> JoinHandle<()> {
        for partition in self.shared.store.layout().partitions.all() {
            self.shared.tasks.spawn(tail::run_tail(Arc::clone(&self.shared), partition));
        }
        shutdown::drain(shutdown, &self.shared.closing, &self.shared.tasks)
    }
}

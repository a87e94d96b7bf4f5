//! Builds the room and drains it: open streams are told to send what has no answer elsewhere, and end.

use crate::append::Log;
use crate::catalogue::Catalogue;
use crate::check::Rules;
use crate::config::ValidConfig;
use crate::context::Shared;
use crate::grpc::Grpc;
use crate::metrics::Metrics;
use crate::rate::RateLimit;
use portrait_proto::v1::ingest_service_server::{self, IngestServiceServer};
use portrait_runtime::SharedClock;
use portrait_runtime::telemetry::Instruments;
use portrait_store::{IntakeStore, ProfileClock};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codec::CompressionEncoding;

/// The room: rules, lanes and edge.
pub struct IngestService {
    shared: Arc<Shared>,
    max_request: usize,
}

impl IngestService {
    /// Puts the room together; nothing runs yet.
    pub fn build(
        store: Arc<dyn IntakeStore>,
        profile_clock: ProfileClock,
        clock: SharedClock,
        with: Instruments,
        config: &ValidConfig,
    ) -> Self {
        let metrics = Arc::new(Metrics::new(&with.meter));
        let log = Log::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&metrics), config);
        let (items, age) = (config.catalogue_items, config.catalogue_age);
        let shared = Shared {
            rules: Rules::of(config),
            rate: RateLimit::new(config.user_events_per_second, config.user_burst),
            catalogue: Catalogue::new(Arc::clone(&store), config.level, items, age),
            store,
            profile_clock,
            clock,
            log: Arc::new(log),
            metrics,
            tracer: with.tracer,
            stream_requests: config.stream_requests,
            stream_patience: config.stream_patience,
            closing: CancellationToken::new(),
            streams: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared), max_request: config.max_request_bytes }
    }

    /// The gRPC service.
    pub fn grpc(&self) -> IngestServiceServer<impl ingest_service_server::IngestService + use<>> {
        IngestServiceServer::new(Grpc { shared: Arc::clone(&self.shared) })
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(self.max_request)
    }

    /// Takes streams until `shutdown`; the handle ends when the last one was told.
    #[expect(
        clippy::disallowed_methods,
        reason = "the caller owns the handle, which ends with the last task"
    )]
    pub fn run(&self, shutdown: &CancellationToken) -> JoinHandle<()> {
        let (shared, shutdown) = (Arc::clone(&self.shared), shutdown.clone());
        tokio::spawn(async move {
            shutdown.cancelled().await;
            shared.closing.cancel();
            shared.streams.close();
            shared.streams.wait().await;
        })
    }
}

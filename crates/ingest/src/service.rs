//! Builds the service and drains it: open streams answer what was appended, tell the client to resend the rest, and end.

use crate::append::LogAppender;
use crate::catalogue::CatalogueCache;
use crate::config::ValidConfig;
use crate::context::IngestContext;
use crate::grpc::Grpc;
use crate::metrics::Metrics;
use crate::rate::RateLimit;
use crate::validate::Validator;
use portrait_proto::v1::ingest_service_server::{self, IngestServiceServer};
use portrait_runtime::telemetry::Instruments;
use portrait_runtime::{SharedClock, shutdown};
use portrait_store::{IntakeStore, ProfileClock};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codec::CompressionEncoding;

/// Ingest service: validator, log queues and gRPC handlers.
pub struct IngestService {
    shared: Arc<IngestContext>,
    max_request: usize,
}

impl IngestService {
    /// Builds the service; no task runs yet.
    pub fn build(
        store: Arc<dyn IntakeStore>,
        profile_clock: ProfileClock,
        clock: SharedClock,
        instruments: Instruments,
        config: &ValidConfig,
    ) -> Self {
        let metrics = Arc::new(Metrics::new(&instruments.meter));
        let log = LogAppender::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&metrics), config);
        let cache_items = config.catalogue_cache_items;
        let cache_ttl = config.catalogue_cache_ttl;
        let shared = IngestContext {
            validator: Validator::new(config),
            rate: RateLimit::new(config.user_events_per_second, config.user_burst),
            catalogue: CatalogueCache::new(Arc::clone(&store), config.level, cache_items, cache_ttl),
            store,
            profile_clock,
            clock,
            log: Arc::new(log),
            metrics,
            tracer: instruments.tracer,
            stream_requests: config.stream_requests,
            stream_wait_max: config.stream_wait_max,
            closing: CancellationToken::new(),
            streams: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared), max_request: config.max_request_bytes }
    }

    /// Returns the gRPC service with its message limit.
    pub fn grpc(&self) -> IngestServiceServer<impl ingest_service_server::IngestService + use<>> {
        IngestServiceServer::new(Grpc { shared: Arc::clone(&self.shared) })
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(self.max_request)
    }

    /// Accepts streams until `shutdown`; the handle ends when the last stream has its final status.
    pub fn run(&self, shutdown: &CancellationToken) -> JoinHandle<()> {
        // Readers stop first. What they have enqueued is still answered, so no appended request goes without an answer.
        shutdown::drain(shutdown, &self.shared.closing, &self.shared.streams)
    }
}

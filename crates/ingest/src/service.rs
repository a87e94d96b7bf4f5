//! Builds the service and drains it: open streams answer what was appended, tell the client to resend the rest, and end.

use crate::append::LogAppender;
use crate::catalogue::CatalogueCache;
use crate::config::ValidConfig;
use crate::context::IngestContext;
use crate::grpc::Grpc;
use crate::losses::LossReporter;
use crate::metrics::Metrics;
use crate::rate::RateLimit;
use crate::source_limit::SourceLimit;
use crate::trait_keys::{TraitKeyWatcher, TraitKeys};
use crate::trait_policies::TraitPolicies;
use crate::validate::Validator;
use portrait_proto::v1::ingest_service_server::{self, IngestServiceServer};
use portrait_runtime::config::InvalidValue;
use portrait_runtime::telemetry::Instruments;
use portrait_runtime::{SharedClock, shutdown};
use portrait_store::{IntakeStore, ProfileClock};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codec::CompressionEncoding;

/// Interval at which the file of keys is read: a rotation waits as long, as for tokens and certificates.
const KEYS_RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Ingest service: validator, log queues and gRPC handlers.
pub struct IngestService {
    shared: Arc<IngestContext>,
    max_request: usize,
    /// Watcher of the keys until [`run`](Self::run) takes it; none without a file.
    key_watcher: Mutex<Option<TraitKeyWatcher>>,
}

impl IngestService {
    /// Builds the service; no task runs yet. `ledger_bytes` bounds the ids of sources in the store.
    ///
    /// # Errors
    /// Fails if the file of `ingest.trait_keys_file` cannot be read or is invalid.
    pub fn build(
        store: Arc<dyn IntakeStore>,
        profile_clock: ProfileClock,
        clock: SharedClock,
        instruments: Instruments,
        config: &ValidConfig,
        ledger_bytes: u64,
    ) -> Result<Self, InvalidValue> {
        let (keys, watcher) = TraitKeys::follow(&config.trait_keys_file)?.unzip();
        let traits = TraitPolicies::new(config.trait_rules.clone(), keys, Arc::new(rand::random));
        let metrics = Arc::new(Metrics::new(&instruments.meter));
        let log = LogAppender::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&metrics), config);
        let cache_items = config.catalogue_cache_items;
        let cache_ttl = config.catalogue_cache_ttl;
        let shared = IngestContext {
            validator: Validator::new(config, traits),
            sources: SourceLimit::new(Arc::clone(&store), ledger_bytes),
            rate: RateLimit::new(config.user_events_per_second, config.user_burst),
            catalogue: CatalogueCache::new(Arc::clone(&store), config.level, cache_items, cache_ttl),
            store,
            profile_clock,
            clock,
            log: Arc::new(log),
            losses: LossReporter::new(Arc::clone(&metrics)),
            metrics,
            tracer: instruments.tracer,
            stream_requests: config.stream_requests,
            stream_wait_max: config.stream_wait_max,
            closing: CancellationToken::new(),
            streams: TaskTracker::new(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            max_request: config.max_request_bytes,
            key_watcher: Mutex::new(watcher),
        })
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
        let watcher = self.key_watcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(watcher) = watcher {
            let end = self.shared.closing.clone();
            self.shared.streams.spawn(watcher.run(KEYS_RELOAD_INTERVAL, end));
        }
        // Readers stop first. What they have enqueued is still answered, so no appended request goes without an answer.
        shutdown::drain(shutdown, &self.shared.closing, &self.shared.streams)
    }
}

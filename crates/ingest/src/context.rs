//! State shared by the verbs of this service: store, validator, log queues and open streams. It is below every verb and
//! depends on none of them.

use crate::append::LogAppender;
use crate::catalogue::CatalogueCache;
use crate::losses::LossReporter;
use crate::metrics::Metrics;
use crate::rate::RateLimit;
use crate::source_limit::SourceLimit;
use crate::validate::Validator;
use portrait_profile::Timestamp;
use portrait_runtime::SharedClock;
use portrait_runtime::telemetry::trace::Tracer;
use portrait_store::{IntakeStore, ProfileClock};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Shared state of all calls and streams.
pub(crate) struct IngestContext {
    /// Store with log, catalogue and tombstones.
    pub(crate) store: Arc<dyn IntakeStore>,
    /// Clock that erasures are compared by: the one by which profiles decay.
    pub(crate) profile_clock: ProfileClock,
    pub(crate) clock: SharedClock,
    pub(crate) validator: Validator,
    /// Rate limit per user; none without a limit.
    pub(crate) rate: Option<RateLimit>,
    /// Bound of the ledger of sources.
    pub(crate) sources: SourceLimit,
    pub(crate) catalogue: CatalogueCache,
    /// Queues of all partitions into the log.
    pub(crate) log: Arc<LogAppender>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) losses: LossReporter,
    pub(crate) tracer: Tracer,
    /// Limit of requests in flight per stream.
    pub(crate) stream_requests: usize,
    /// Longest wait of a stream for memory, a lagging partition or its token's rate.
    pub(crate) stream_wait_max: Duration,
    /// Cancelled when the service drains: streams end.
    pub(crate) closing: CancellationToken,
    /// Readers of open streams, and the watcher of keys; a drain waits for them.
    pub(crate) streams: TaskTracker,
}

impl IngestContext {
    /// Returns the wall-clock time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }

    /// Returns the deployment's present by `profiles.clock`: the wall clock `now`, or the newest event.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub(crate) async fn profile_now(&self, now: Timestamp) -> Result<Timestamp, portrait_store::Error> {
        self.profile_clock.now(self.store.as_ref(), now).await
    }
}

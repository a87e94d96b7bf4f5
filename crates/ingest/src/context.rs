//! State of this service that its verbs share: the store, the rules, the lanes into the log and the open streams. It stands
//! below every verb and knows none of them.

use crate::append::Log;
use crate::catalogue::Catalogue;
use crate::check::Rules;
use crate::metrics::Metrics;
use crate::rate::RateLimit;
use portrait_profile::Timestamp;
use portrait_runtime::SharedClock;
use portrait_runtime::telemetry::trace::Tracer;
use portrait_store::{IntakeStore, ProfileClock};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// State that calls and streams share.
pub(crate) struct Shared {
    /// Where the log is.
    pub(crate) store: Arc<dyn IntakeStore>,
    /// Clock by which erasures happen.
    pub(crate) profile_clock: ProfileClock,
    /// The clock on the wall.
    pub(crate) clock: SharedClock,
    /// What may enter.
    pub(crate) rules: Rules,
    /// What one shopper may send; none is without limit.
    pub(crate) rate: Option<RateLimit>,
    /// What is known of items.
    pub(crate) catalogue: Catalogue,
    /// The lanes into the log.
    pub(crate) log: Arc<Log>,
    /// What is measured.
    pub(crate) metrics: Arc<Metrics>,
    /// What requests are followed with.
    pub(crate) tracer: Tracer,
    /// Requests of one stream that may be under way.
    pub(crate) stream_requests: usize,
    /// How long a stream may wait for room.
    pub(crate) stream_patience: Duration,
    /// Cancelled when the room drains: streams end.
    pub(crate) closing: CancellationToken,
    /// The readers of open streams, so that a drain can wait for them.
    pub(crate) streams: TaskTracker,
}

impl Shared {
    /// What the clock on the wall says.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }

    /// Returns the moment that the deployment takes for the present when the wall clock says `now`: that, or its newest event.
    pub(crate) async fn moment(&self, now: Timestamp) -> Result<Timestamp, portrait_store::Error> {
        self.profile_clock.now(self.store.as_ref(), now).await
    }
}

//! State of this process that its workers and its calls share: the store, the clocks, the model that is served and what is
//! owned here. It stands below every verb and knows none of them.

use crate::assign::Assigner;
use crate::config::ValidConfig;
use crate::metrics::Metrics;
use portrait_learning::ServedModel;
use portrait_profile::Timestamp;
use portrait_runtime::SharedClock;
use portrait_runtime::telemetry::trace::Tracer;
use portrait_store::{Nonce, ProfileClock, WorkerStore};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use tokio::sync::watch;

/// State that every worker and call of a process shares.
pub(crate) struct Shared {
    /// Where everything is.
    pub(crate) store: Arc<dyn WorkerStore>,
    /// Which clock vectors are read by.
    pub(crate) profile_clock: ProfileClock,
    /// For leases, trimming and freshness.
    pub(crate) clock: SharedClock,
    /// The checked configuration.
    pub(crate) config: ValidConfig,
    /// What is measured.
    pub(crate) metrics: Metrics,
    /// What commits are followed with.
    pub(crate) tracer: Tracer,
    /// This process, among all that ask for leases.
    pub(crate) nonce: Nonce,
    /// What people call it.
    pub(crate) name: String,
    /// What is owned here.
    pub(crate) ownership: watch::Sender<Ownership>,
    /// The newest model.
    pub(crate) model: watch::Receiver<ServedModel>,
    /// When the store's files were last written anew for an erasure, by the clock on the wall.
    pub(crate) rewritten_at_ms: AtomicI64,
}

/// What of the partitions this process owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    /// How many it owns.
    pub owned: usize,
    /// How many it should own; none before it is known which workers are there.
    pub share: Option<usize>,
}

impl Shared {
    /// The moment by the process's clock.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }

    /// Returns the moment that vectors are read at if the reader names none: by the wall clock, or by the newest event.
    pub(crate) async fn moment(&self) -> Result<Timestamp, portrait_store::Error> {
        self.profile_clock.now(self.store.as_ref(), self.now()).await
    }

    /// Assigns by the newest model.
    pub(crate) fn assigner(&self) -> Assigner {
        Assigner::new(self.model.borrow().clone(), self.profile_clock)
    }
}

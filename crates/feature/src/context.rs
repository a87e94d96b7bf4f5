//! State shared by the workers and the calls of this process: store, clocks, served model, and ownership. It is below every
//! verb and depends on none of them.

use crate::assign::Assigner;
use crate::config::ValidConfig;
use crate::logs::OwnedLogs;
use crate::metrics::Metrics;
use portrait_learning::ServedModel;
use portrait_profile::Timestamp;
use portrait_runtime::SharedClock;
use portrait_runtime::telemetry::trace::Tracer;
use portrait_store::{Nonce, ProfileClock, WorkerStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use tokio::sync::watch;

/// Shared state of all workers and calls of a process.
pub(crate) struct FeatureContext {
    pub(crate) store: Arc<dyn WorkerStore>,
    /// Clock that profiles are read by if a reader names no time.
    pub(crate) profile_clock: ProfileClock,
    /// Wall clock, for leases, trims and freshness.
    pub(crate) clock: SharedClock,
    pub(crate) config: ValidConfig,
    pub(crate) metrics: Metrics,
    pub(crate) tracer: Tracer,
    /// Identity of this process among all that acquire leases.
    pub(crate) nonce: Nonce,
    /// Name of this process, shown as the owner of its partitions; they are assigned by it.
    pub(crate) name: Arc<str>,
    /// Numbers of owned and assigned partitions.
    pub(crate) ownership: watch::Sender<Ownership>,
    /// Newest served model; none before the first.
    pub(crate) model: watch::Receiver<ServedModel>,
    /// Wall-clock time in ms of the last rewrite of the store's files. Atomic, since all workers of the process share it.
    pub(crate) rewritten_at_ms: AtomicI64,
    /// Sizes of the logs of the owned partitions.
    pub(crate) logs: OwnedLogs,
    /// True once another process of the same name was noticed, so that it is logged once and not for each partition.
    pub(crate) duplicate_name_logged: AtomicBool,
}

/// Numbers of partitions that this process owns and should own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    /// Partitions with a lease of this process.
    pub owned: usize,
    /// Partitions assigned to this process; none before the members are known.
    pub assigned: Option<usize>,
}

impl FeatureContext {
    /// Returns the wall-clock time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }

    /// Returns the time that vectors are read at if the reader names none: wall clock, or newest event of the deployment.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub(crate) async fn read_at(&self) -> Result<Timestamp, portrait_store::Error> {
        self.profile_clock.now(self.store.as_ref(), self.now()).await
    }

    /// Counts a lease that another process of this name holds, and logs the first one.
    pub(crate) fn duplicate_name(&self) {
        self.metrics.duplicate_name();
        if !self.duplicate_name_logged.swap(true, Ordering::Relaxed) {
            tracing::error!(
                name = &*self.name,
                "another process runs under this name and has taken its partitions: give each process its own profiles.node"
            );
        }
    }

    /// Returns an assigner for the newest model.
    pub(crate) fn assigner(&self) -> Assigner {
        Assigner::new(self.model.borrow().clone(), self.profile_clock)
    }
}

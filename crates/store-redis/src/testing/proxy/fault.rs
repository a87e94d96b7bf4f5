//! Faults that the proxy injects into requests: the step and the moment.

use crate::scripts;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Kind of request that a fault can apply to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint {
    /// Append to a log.
    Append,
    /// Commit of an owner.
    Commit,
    /// Acquisition of a lease.
    TakeLease,
}

/// Moment at which a request is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultMoment {
    /// Sent by the client, and not received by the server.
    Sent,
    /// Done by the server, and its reply not received by the client.
    Done,
}

/// Fault for one request.
pub(super) enum ProxyFault {
    /// Loss of the reply and the connection, of any request or of a kind.
    LoseReply(Option<FaultPoint>),
    /// Hold of the connection from that moment on, until the client closes it.
    Hold(FaultPoint, FaultMoment, oneshot::Sender<()>),
}

/// Pending faults, each for one request, and the connections that are forgotten.
#[derive(Default)]
pub(super) struct ProxyFaults {
    pending: Mutex<Vec<ProxyFault>>,
    /// Number of times that the open connections were forgotten.
    forgotten: AtomicU64,
}

impl ProxyFaults {
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<ProxyFault>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the open connections.
    pub(super) fn forget_connections(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns how often connections were forgotten: one with a lower number at its begin is forgotten.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::SeqCst)
    }

    /// Takes the fault for a request out of the pending ones.
    pub(super) fn take(&self, request: &[u8]) -> Option<ProxyFault> {
        let mut faults = self.lock();
        let due = faults.iter().position(|fault| match fault {
            ProxyFault::LoseReply(step) => step.is_none_or(|step| step.is(request)),
            ProxyFault::Hold(step, ..) => step.is(request),
        });
        due.map(|index| faults.remove(index))
    }
}

impl FaultPoint {
    fn is(self, request: &[u8]) -> bool {
        let has = |part: &str| request.windows(part.len()).any(|bytes| bytes == part.as_bytes());
        match self {
            Self::Append => has(scripts::APPEND.hash()),
            Self::Commit => has(scripts::COMMIT.hash()),
            Self::TakeLease => has(scripts::LEASE.hash()) && has("acquire"),
        }
    }
}

//! Faults that the proxy injects into requests: the step and the moment.

use crate::scripts;
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

/// Pending faults, each for one request.
#[derive(Default)]
pub(super) struct ProxyFaults(Mutex<Vec<ProxyFault>>);

impl ProxyFaults {
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<ProxyFault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

//! Harm that is done to requests: which step it is due to, and when.

use crate::scripts;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A step that harm can be done to, among all that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint {
    /// An append to a log.
    Append,
    /// A commit of an owner.
    Commit,
    /// Somebody takes a lease.
    TakeLease,
}

/// At which moment a step is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultMoment {
    /// It was sent, and the server does not have it.
    Sent,
    /// The server has done it, and its answer did not come back.
    Done,
}

/// What will be done to a request.
pub(super) enum ProxyFault {
    /// Its answer is lost, and its connection: to whatever is asked, or to a step.
    LoseReply(Option<FaultPoint>),
    /// Nothing passes on its connection from that moment on, until the store's end of it is gone.
    Hold(FaultPoint, FaultMoment, oneshot::Sender<()>),
}

/// The harm that is still to be done; each piece is for one request.
#[derive(Default)]
pub(super) struct ProxyFaults(Mutex<Vec<ProxyFault>>);

impl ProxyFaults {
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<ProxyFault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The harm that is due to a request, which is done to no other one.
    pub(super) fn take(&self, request: &[u8]) -> Option<ProxyFault> {
        let mut left = self.lock();
        let due = left.iter().position(|harm| match harm {
            ProxyFault::LoseReply(step) => step.is_none_or(|step| step.is(request)),
            ProxyFault::Hold(step, ..) => step.is(request),
        });
        due.map(|place| left.remove(place))
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

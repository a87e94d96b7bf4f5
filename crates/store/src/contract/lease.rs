//! Leases: the claim of a process, its outcome, and the rule by which a restarted process takes its lease back.

use crate::position::{LeaseToken, Nonce};
use std::sync::Arc;

/// Claim of a process on a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseClaim {
    /// Random bits of the process; drawn anew by every start, so that the token of an earlier process of the name stays fenced.
    pub nonce: Nonce,
    /// Name of the process, at most [`super::MEMBER_NAME_MAX`] bytes. Only one process at a time should run under it.
    pub name: Arc<str>,
    /// True to end a running lease that another process of this name holds. A process sets it at its first claim on a lease and
    /// never again: of two processes of one name each takes a lease back at most once, so they cannot fight over it.
    pub takes_back: bool,
}

/// Outcome of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquisition {
    /// The claimer holds the lease.
    Acquired(LeaseToken),
    /// The lease of another process runs.
    Held {
        /// Name of the holder; none if a release without names acquired the lease.
        by: Option<Arc<str>>,
    },
}

impl LeaseClaim {
    /// Returns a claim that waits for the end of any other lease.
    ///
    /// ```
    /// use portrait_store::{LeaseClaim, Nonce};
    ///
    /// let first = LeaseClaim { takes_back: true, ..LeaseClaim::new(Nonce::random(), "features-1") };
    /// assert!(first.may_end_lease_of(Some("features-1")));
    /// assert!(!first.may_end_lease_of(Some("features-2")));
    /// assert!(!first.may_end_lease_of(None));
    /// assert!(!LeaseClaim::new(first.nonce, "features-1").may_end_lease_of(Some("features-1")));
    /// ```
    pub fn new(nonce: Nonce, name: impl Into<Arc<str>>) -> Self {
        Self { nonce, name: name.into(), takes_back: false }
    }

    /// Returns true if the claim ends a running lease of another process with the name `holder`.
    pub fn may_end_lease_of(&self, holder: Option<&str>) -> bool {
        self.takes_back && holder == Some(&*self.name)
    }
}

impl Acquisition {
    /// Returns the token if the lease was acquired.
    pub fn token(self) -> Option<LeaseToken> {
        match self {
            Self::Acquired(token) => Some(token),
            Self::Held { .. } => None,
        }
    }
}

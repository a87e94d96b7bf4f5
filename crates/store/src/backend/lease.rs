//! Lease of a partition, or of training, in the memory of a backend: its holder and its expiry.

use crate::contract::{Acquisition, LeaseClaim};
use crate::position::{Epoch, LeaseToken};
use portrait_profile::{TimeDelta, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Lease with its newest holder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// Token of the newest holder; none before the first. It outlives the lease, so that an old holder stays fenced.
    token: Option<LeaseToken>,
    /// Time of expiry (exclusive).
    until: Timestamp,
    /// Name of the newest holder. Not stored: a backend that stores this value belongs to one process and ends all leases at open.
    #[serde(skip)]
    holder: Option<Arc<str>>,
}

impl Lease {
    /// Acquires the lease unless that of another holder is running and `claim` does not take it back.
    pub fn acquire(&mut self, claim: &LeaseClaim, ttl: TimeDelta, now: Timestamp) -> Acquisition {
        let running = self.token.filter(|_| now < self.until);
        let token = match running {
            // The holder repeats the call after a lost response, and must get the token that it has.
            Some(token) if token.nonce == claim.nonce => token,
            Some(_) if !claim.may_end_lease_of(self.holder.as_deref()) => {
                return Acquisition::Held { by: self.holder.clone() };
            }
            _ => {
                let epoch = self.token.map_or(Epoch::ZERO, |token| token.epoch).next();
                LeaseToken { epoch, nonce: claim.nonce }
            }
        };
        self.token = Some(token);
        self.until = now.plus(ttl);
        self.holder = Some(Arc::clone(&claim.name));
        Acquisition::Acquired(token)
    }

    /// Extends the lease if `token` holds it; returns whether it does.
    pub fn renew(&mut self, token: LeaseToken, ttl: TimeDelta, now: Timestamp) -> bool {
        let held = self.is_held_by(token);
        if held {
            self.until = now.plus(ttl);
        }
        held
    }

    /// Ends the lease if `token` holds it.
    pub fn release(&mut self, token: LeaseToken) {
        if self.is_held_by(token) {
            self.expire();
        }
    }

    /// Ends the lease of any holder.
    pub fn expire(&mut self) {
        self.until = Timestamp::EPOCH;
    }

    /// Returns whether `token` is the newest holder's, running or not.
    pub fn is_held_by(&self, token: LeaseToken) -> bool {
        self.token == Some(token)
    }

    /// Returns the token of the newest holder.
    pub fn token(&self) -> Option<LeaseToken> {
        self.token
    }

    /// Returns the name of the newest holder, if it acquired the lease since the value was read.
    pub fn holder(&self) -> Option<Arc<str>> {
        self.holder.clone()
    }
}

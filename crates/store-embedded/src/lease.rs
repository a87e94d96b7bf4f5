//! Lease of a partition, or of training: its holder and its expiry. Only the writer thread changes it.

use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::{Epoch, LeaseToken, Nonce};
use serde::{Deserialize, Serialize};

/// Lease with its newest holder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Lease {
    /// Token of the newest holder; none before the first. It outlives the lease, so that an old holder stays fenced.
    token: Option<LeaseToken>,
    /// Time of expiry (exclusive). Cleared at open: the directory belongs to one process, so no holder can be alive.
    until: Timestamp,
}

impl Lease {
    /// Acquires the lease for `nonce` unless another holder's is running; returns the token.
    pub(super) fn acquire(&mut self, nonce: Nonce, ttl: TimeDelta, now: Timestamp) -> Option<LeaseToken> {
        let running = now < self.until;
        match self.token {
            Some(token) if running && token.nonce != nonce => return None,
            Some(token) if running => {
                // The holder repeats the call after a lost response, and must get the token that it has.
                self.until = now.plus(ttl);
                return Some(token);
            }
            _ => {}
        }
        let epoch = self.token.map_or(Epoch::ZERO, |token| token.epoch).next();
        let token = LeaseToken { epoch, nonce };
        self.token = Some(token);
        self.until = now.plus(ttl);
        Some(token)
    }

    /// Extends the lease if `token` holds it; returns whether it does.
    pub(super) fn renew(&mut self, token: LeaseToken, ttl: TimeDelta, now: Timestamp) -> bool {
        let held = self.is_held_by(token);
        if held {
            self.until = now.plus(ttl);
        }
        held
    }

    /// Ends the lease if `token` holds it.
    pub(super) fn release(&mut self, token: LeaseToken) {
        if self.is_held_by(token) {
            self.expire();
        }
    }

    /// Ends the lease of any holder.
    pub(super) fn expire(&mut self) {
        self.until = Timestamp::EPOCH;
    }

    /// Returns whether `token` is the newest holder's, running or not.
    pub(super) fn is_held_by(&self, token: LeaseToken) -> bool {
        self.token == Some(token)
    }

    /// Returns the token of the newest holder.
    pub(super) fn token(&self) -> Option<LeaseToken> {
        self.token
    }
}

//! A lease: who has a partition, or the right to train, and until when. The writer alone changes it.

use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::{Epoch, LeaseToken, Nonce};
use serde::{Deserialize, Serialize};

/// Who has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Lease {
    /// The newest owner's; none before the first. Dropping it would let an old owner act.
    token: Option<LeaseToken>,
    /// Until when it runs; cleared at open, since nobody else can have the directory.
    until: Timestamp,
}

impl Lease {
    /// Takes it for `nonce`, if nobody else's is running.
    pub(super) fn acquire(&mut self, nonce: Nonce, ttl: TimeDelta, now: Timestamp) -> Option<LeaseToken> {
        let running = now < self.until;
        match self.token {
            Some(token) if running && token.nonce != nonce => return None,
            Some(token) if running => {
                self.until = now.plus(ttl);
                return Some(token);
            }
            _ => {}
        }
        let epoch = self.token.map_or(Epoch::ZERO, |token| token.epoch).next();
        let token = LeaseToken { epoch, nonce };
        (self.token, self.until) = (Some(token), now.plus(ttl));
        Some(token)
    }

    /// Extends it, if it is `token`'s.
    pub(super) fn renew(&mut self, token: LeaseToken, ttl: TimeDelta, now: Timestamp) -> bool {
        let held = self.is_held_by(token);
        if held {
            self.until = now.plus(ttl);
        }
        held
    }

    /// Ends it, if it is `token`'s.
    pub(super) fn release(&mut self, token: LeaseToken) {
        if self.is_held_by(token) {
            self.expire();
        }
    }

    /// Ends it, whoever has it.
    pub(super) fn expire(&mut self) {
        self.until = Timestamp::EPOCH;
    }

    /// Whether it is `token`'s, running or not.
    pub(super) fn is_held_by(&self, token: LeaseToken) -> bool {
        self.token == Some(token)
    }

    /// The newest owner's token.
    pub(super) fn token(&self) -> Option<LeaseToken> {
        self.token
    }
}

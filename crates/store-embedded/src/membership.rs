//! Membership of the workers in this process. Not on disk: after a restart there are no members.

use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::{Error, MEMBERS_MAX, Member, Nonce, Result};
use std::collections::BTreeMap;

/// Members by nonce, with name and time of expiry.
#[derive(Debug, Default)]
pub(super) struct Membership(BTreeMap<Nonce, (String, Timestamp)>);

impl Membership {
    /// Registers or extends a member by `ttl` from `now`, and returns all members.
    pub(super) fn heartbeat(
        &mut self,
        worker: &Member,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<Vec<Member>> {
        self.0.retain(|_, (_, until)| now < *until);
        // A member that only extends itself is never refused: a full deployment must not lose the workers it has.
        if self.0.len() >= MEMBERS_MAX && !self.0.contains_key(&worker.nonce) {
            return Err(Error::Full {
                detail: format!("{MEMBERS_MAX} workers are members already: stop some"),
            });
        }
        self.0.insert(worker.nonce, (worker.name.clone(), now.plus(ttl)));
        let members = self.0.iter().map(|(nonce, (name, _))| Member { nonce: *nonce, name: name.clone() });
        Ok(members.collect())
    }

    /// Returns the members that have not expired at `now`.
    pub(super) fn members(&self, now: Timestamp) -> Vec<Member> {
        // A read takes `&self`, so expired members are skipped here and removed by the next heartbeat.
        let members = self.0.iter().filter(|(_, (_, until))| now < *until);
        members.map(|(nonce, (name, _))| Member { nonce: *nonce, name: name.clone() }).collect()
    }

    /// Removes a member, if it exists.
    pub(super) fn deregister(&mut self, nonce: Nonce) {
        self.0.remove(&nonce);
    }
}

//! Membership of the workers in the memory of a backend. After a restart there are no members.

use crate::contract::{MEMBERS_MAX, Member, MemberId};
use crate::error::{Error, Result};
use portrait_profile::{TimeDelta, Timestamp};
use std::collections::BTreeMap;

/// Members by id, with name and time of expiry.
#[derive(Debug, Default)]
pub struct Membership(BTreeMap<MemberId, (String, Timestamp)>);

impl Membership {
    /// Registers or extends a member by `ttl` from `now`, and returns all members, ordered by id.
    ///
    /// # Errors
    /// `Full` beyond [`MEMBERS_MAX`] members.
    pub fn heartbeat(&mut self, worker: &Member, ttl: TimeDelta, now: Timestamp) -> Result<Vec<Member>> {
        self.0.retain(|_, (_, until)| now < *until);
        // A member that only extends itself is never refused: a full deployment must not lose the workers it has.
        if self.0.len() >= MEMBERS_MAX && !self.0.contains_key(&worker.id) {
            return Err(Error::Full {
                detail: format!("{MEMBERS_MAX} workers are members already: stop some"),
            });
        }
        self.0.insert(worker.id, (worker.name.clone(), now.plus(ttl)));
        let members = self.0.iter().map(|(id, (name, _))| Member { id: *id, name: name.clone() });
        Ok(members.collect())
    }

    /// Returns the members that have not expired at `now`.
    pub fn members(&self, now: Timestamp) -> Vec<Member> {
        // A read takes `&self`, so expired members are skipped here and removed by the next heartbeat.
        let members = self.0.iter().filter(|(_, (_, until))| now < *until);
        members.map(|(id, (name, _))| Member { id: *id, name: name.clone() }).collect()
    }

    /// Removes a member, if it exists.
    pub fn deregister(&mut self, id: MemberId) {
        self.0.remove(&id);
    }
}

//! Who is there of those who use the store in this process. Not on disk: whoever opens it anew finds nobody.

use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::{Error, Nonce, Result, MEMBERS_MAX, Member};
use std::collections::BTreeMap;

/// Everybody, and until when.
#[derive(Debug, Default)]
pub(super) struct Membership(BTreeMap<Nonce, (String, Timestamp)>);

impl Membership {
    /// Takes a worker in for `ttl` more, and gives all who are there.
    pub(super) fn heartbeat(&mut self, worker: &Member, ttl: TimeDelta, now: Timestamp) -> Result<Vec<Member>> {
        self.0.retain(|_, (_, until)| now < *until);
        if self.0.len() >= MEMBERS_MAX && !self.0.contains_key(&worker.nonce) {
            return Err(Error::Full {
                detail: format!("{MEMBERS_MAX} workers are there already: stop some"),
            });
        }
        self.0.insert(worker.nonce, (worker.name.clone(), now.plus(ttl)));
        let there = self.0.iter().map(|(nonce, (name, _))| Member { nonce: *nonce, name: name.clone() });
        Ok(there.collect())
    }

    /// Who is there, without coming in.
    pub(super) fn members(&self, now: Timestamp) -> Vec<Member> {
        let there = self.0.iter().filter(|(_, (_, until))| now < *until);
        there.map(|(nonce, (name, _))| Member { nonce: *nonce, name: name.clone() }).collect()
    }

    /// Lets a worker go.
    pub(super) fn deregister(&mut self, nonce: Nonce) {
        self.0.remove(&nonce);
    }
}

//! Who is there of those who use the store in this process. Not on disk: whoever opens it anew finds nobody.

use portrait_profile::{Span, Timestamp};
use portrait_store::{Error, Nonce, Result, WORKERS_MAX, Worker};
use std::collections::BTreeMap;

/// Everybody, and until when.
#[derive(Debug, Default)]
pub(super) struct Attendance(BTreeMap<Nonce, (String, Timestamp)>);

impl Attendance {
    /// Takes a worker in for `ttl` more, and gives all who are there.
    pub(super) fn attend(&mut self, worker: &Worker, ttl: Span, now: Timestamp) -> Result<Vec<Worker>> {
        self.0.retain(|_, (_, until)| now < *until);
        if self.0.len() >= WORKERS_MAX && !self.0.contains_key(&worker.nonce) {
            return Err(Error::Full {
                detail: format!("{WORKERS_MAX} workers are there already: stop some"),
            });
        }
        self.0.insert(worker.nonce, (worker.name.clone(), now.plus(ttl)));
        let there = self.0.iter().map(|(nonce, (name, _))| Worker { nonce: *nonce, name: name.clone() });
        Ok(there.collect())
    }

    /// Who is there, without coming in.
    pub(super) fn workers(&self, now: Timestamp) -> Vec<Worker> {
        let there = self.0.iter().filter(|(_, (_, until))| now < *until);
        there.map(|(nonce, (name, _))| Worker { nonce: *nonce, name: name.clone() }).collect()
    }

    /// Lets a worker go.
    pub(super) fn leave(&mut self, nonce: Nonce) {
        self.0.remove(&nonce);
    }
}

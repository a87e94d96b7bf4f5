//! Membership: one hash for the whole deployment that maps a member's id to its name and expiry, with an index by expiry, and a list
//! that is sent only to a process that has another version of it.

use super::cluster::WriteConcern;
use super::dialer::Request;
use super::known_members::KnownMembers;
use super::options::LeaseClock;
use super::partition::fresh_nonce;
use super::reply::ReplyFields;
use super::scripts::{self, ScriptCall};
use super::store::RedisStore;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::{Error, MEMBERS_MAX, Member, MemberId, Result};
use redis::Value;
use std::sync::{Arc, PoisonError};

impl RedisStore {
    /// Returns all members, after registering or extending `member` if one is given.
    pub(super) async fn read_members(
        &self,
        member: Option<(&Member, TimeDelta)>,
        now: Timestamp,
    ) -> Result<Vec<Member>> {
        let tagged = self.keys.members();
        // An empty argument makes the script read the server's clock.
        let clock = match self.lease_clock {
            LeaseClock::Server => String::new(),
            LeaseClock::Caller => now.millis().to_string(),
        };
        let (id, ttl, name) = match member {
            Some((member, ttl)) => (hex(member.id), ttl.millis().to_string(), member.name.clone()),
            None => Default::default(),
        };
        let known = Arc::clone(&self.known_members.lock().unwrap_or_else(PoisonError::into_inner));
        let keys = vec![tagged.base(), tagged.key("expiries"), tagged.key("list")];
        let call = ScriptCall::new(&scripts::HEARTBEAT, keys);
        let call = call.arg(id).arg(ttl).arg(clock).arg(name).number(MEMBERS_MAX);
        let call = call.arg(known.version.clone()).arg(fresh_nonce());
        let reply =
            self.cluster.request(tagged.slot, &Request::Call(call), WriteConcern::Acknowledged).await?;
        if reply == Value::Nil {
            return Err(Error::Full {
                detail: format!("{MEMBERS_MAX} workers are members already: stop some"),
            });
        }
        let mut reply = ReplyFields::of(reply, "the members")?;
        let version = reply.text()?;
        // Not the newest known list but the one that was named in the request: another call may have replaced it since.
        if version == known.version {
            return Ok(known.members.clone());
        }
        let read = Arc::new(KnownMembers::read(version, &reply.bytes()?.unwrap_or_default())?);
        *self.known_members.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&read);
        Ok(read.members.clone())
    }

    /// Removes a member from the hash; the next heartbeat notices it by the length of the index.
    pub(super) async fn remove_member(&self, id: MemberId) -> Result<()> {
        let tagged = self.keys.members();
        let mut command = redis::cmd("HDEL");
        command.arg(&tagged.base()[..]).arg(hex(id));
        self.cluster
            .request(tagged.slot, &Request::Command(command), WriteConcern::Acknowledged)
            .await
            .map(|_| ())
    }
}

fn hex(id: MemberId) -> String {
    format!("{:032x}", id.get())
}

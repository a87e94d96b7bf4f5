//! Membership: one hash for the whole deployment that maps a member's nonce to its name and expiry.

use super::cluster::WriteConcern;
use super::dialer::Request;
use super::failure::UnexpectedReply;
use super::options::LeaseClock;
use super::partition::read_nonce;
use super::reply;
use super::scripts::{self, ScriptCall};
use super::store::RedisStore;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::{Error, MEMBERS_MAX, Member, Nonce, Result};
use redis::Value;

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
        let (nonce, ttl, name) = match member {
            Some((member, ttl)) => (hex(member.nonce), ttl.millis().to_string(), member.name.clone()),
            None => Default::default(),
        };
        let call = ScriptCall::new(&scripts::HEARTBEAT, vec![tagged.base()]);
        let call = call.arg(nonce).arg(ttl).arg(clock).arg(name).number(MEMBERS_MAX);
        let reply =
            self.cluster.request(tagged.slot, &Request::Call(call), WriteConcern::Acknowledged).await?;
        if reply == Value::Nil {
            return Err(Error::Full {
                detail: format!("{MEMBERS_MAX} workers are members already: stop some"),
            });
        }
        let pairs = reply::pairs(reply, "the members")?;
        let mut members = pairs.into_iter().map(read_member).collect::<Result<Vec<_>, _>>()?;
        // A hash has no order; the contract orders members by nonce.
        members.sort_unstable();
        Ok(members)
    }

    /// Removes a member from the hash.
    pub(super) async fn remove_member(&self, nonce: Nonce) -> Result<()> {
        let tagged = self.keys.members();
        let mut command = redis::cmd("HDEL");
        command.arg(&tagged.base()[..]).arg(hex(nonce));
        self.cluster
            .request(tagged.slot, &Request::Command(command), WriteConcern::Acknowledged)
            .await
            .map(|_| ())
    }
}

fn hex(nonce: Nonce) -> String {
    format!("{:032x}", nonce.get())
}

fn read_member((nonce, name): (Value, Value)) -> Result<Member, UnexpectedReply> {
    let nonce = reply::text(&nonce).ok_or(UnexpectedReply("a member"))?;
    let name = reply::text(&name).ok_or(UnexpectedReply("a member"))?;
    Ok(Member { nonce: read_nonce(nonce)?, name: name.to_owned() })
}

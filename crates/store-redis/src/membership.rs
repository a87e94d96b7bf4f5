//! Who of the workers is there: one hash for the whole deployment, in which each has its name and until when it counts.

use super::dialer::Request;
use super::cluster::WriteConcern;
use super::options::LeaseClock;
use super::partition::read_nonce;
use super::reply;
use super::scripts::{self, ScriptCall};
use super::store::RedisStore;
use super::failure::UnexpectedReply;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::{Error, Nonce, Result, MEMBERS_MAX, Member};
use redis::Value;

impl RedisStore {
    /// Those who are there, after `worker` has come in for `ttl`, if anybody comes in.
    pub(super) async fn read_members(&self, worker: Option<(&Member, TimeDelta)>, now: Timestamp) -> Result<Vec<Member>> {
        let tagged = self.keys.members();
        let clock = match self.lease_clock {
            LeaseClock::Server => String::new(),
            LeaseClock::Caller => now.millis().to_string(),
        };
        let (nonce, ttl, name) = match worker {
            Some((worker, ttl)) => (hex(worker.nonce), ttl.millis().to_string(), worker.name.clone()),
            None => Default::default(),
        };
        let call = ScriptCall::new(&scripts::ATTEND, vec![tagged.base()]);
        let call = call.arg(nonce).arg(ttl).arg(clock).arg(name).number(MEMBERS_MAX);
        let reply = self.cluster.request(tagged.slot, &Request::Call(call), WriteConcern::Acknowledged).await?;
        if reply == Value::Nil {
            return Err(Error::Full {
                detail: format!("{MEMBERS_MAX} workers are there already: stop some"),
            });
        }
        let pairs = reply::pairs(reply, "the workers")?;
        let mut workers = pairs.into_iter().map(read_member).collect::<Result<Vec<_>, _>>()?;
        workers.sort_unstable();
        Ok(workers)
    }

    /// Lets a worker go.
    pub(super) async fn remove_member(&self, nonce: Nonce) -> Result<()> {
        let tagged = self.keys.members();
        let mut command = redis::cmd("HDEL");
        command.arg(&tagged.base()[..]).arg(hex(nonce));
        self.cluster.request(tagged.slot, &Request::Command(command), WriteConcern::Acknowledged).await.map(|_| ())
    }
}

fn hex(nonce: Nonce) -> String {
    format!("{:032x}", nonce.get())
}

fn read_member((nonce, name): (Value, Value)) -> Result<Member, UnexpectedReply> {
    let text = |value: &Value| reply::text(value).map(str::to_owned).ok_or(UnexpectedReply("a worker"));
    Ok(Member { nonce: read_nonce(&text(&nonce)?)?, name: text(&name)? })
}

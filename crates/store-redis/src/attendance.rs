//! Who of the workers is there: one hash for the whole deployment, in which each has its name and until when it counts.

use super::dialer::Request;
use super::nodes::How;
use super::options::LeaseClock;
use super::partition::read_nonce;
use super::reply;
use super::scripts::{self, Call};
use super::store::RedisStore;
use super::trouble::Unexpected;
use portrait_profile::{Span, Timestamp};
use portrait_store::{Error, Nonce, Result, WORKERS_MAX, Worker};
use redis::Value;

impl RedisStore {
    /// Those who are there, after `worker` has come in for `ttl`, if anybody comes in.
    pub(super) async fn roll(&self, worker: Option<(&Worker, Span)>, now: Timestamp) -> Result<Vec<Worker>> {
        let tagged = self.keys.workers();
        let clock = match self.lease_clock {
            LeaseClock::Server => String::new(),
            LeaseClock::Caller => now.millis().to_string(),
        };
        let (nonce, ttl, name) = match worker {
            Some((worker, ttl)) => (hex(worker.nonce), ttl.millis().to_string(), worker.name.clone()),
            None => Default::default(),
        };
        let call = Call::new(&scripts::ATTEND, vec![tagged.itself()]);
        let call = call.arg(nonce).arg(ttl).arg(clock).arg(name).number(WORKERS_MAX);
        let reply = self.nodes.ask(tagged.slot, &Request::Call(call), How::Write).await?;
        if reply == Value::Nil {
            return Err(Error::Full {
                detail: format!("{WORKERS_MAX} workers are there already: stop some"),
            });
        }
        let pairs = reply::pairs(reply, "the workers")?;
        let mut workers = pairs.into_iter().map(read_worker).collect::<Result<Vec<_>, _>>()?;
        workers.sort_unstable();
        Ok(workers)
    }

    /// Lets a worker go.
    pub(super) async fn strike(&self, nonce: Nonce) -> Result<()> {
        let tagged = self.keys.workers();
        let mut command = redis::cmd("HDEL");
        command.arg(&tagged.itself()[..]).arg(hex(nonce));
        self.nodes.ask(tagged.slot, &Request::Command(command), How::Write).await.map(|_| ())
    }
}

fn hex(nonce: Nonce) -> String {
    format!("{:032x}", nonce.get())
}

fn read_worker((nonce, name): (Value, Value)) -> Result<Worker, Unexpected> {
    let text = |value: &Value| reply::text(value).map(str::to_owned).ok_or(Unexpected("a worker"));
    Ok(Worker { nonce: read_nonce(&text(&nonce)?)?, name: text(&name)? })
}

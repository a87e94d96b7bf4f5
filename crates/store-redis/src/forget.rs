//! Forgetting what is old: the oldest blocks of log and feed that were written before a moment, and whole windows of
//! remembered ids. In bounded steps, since the server does nothing else meanwhile.

use super::dialer::Request;
use super::cluster::WriteConcern;
use super::seen_cache::window_of;
use super::reply::{self, ReplyFields};
use super::scripts::{self, ScriptCall};
use super::store::RedisStore;
use portrait_profile::PartitionId;
use portrait_store::{Result, Trim, Trimmed};

/// Steps of one call at most; the next call goes on.
const STEPS: usize = 64;
/// Windows of one call at most.
const WINDOWS: usize = 8;

impl RedisStore {
    /// Forgets what may be forgotten, a stretch of it.
    pub(super) async fn forget(&self, partition: PartitionId, what: Trim) -> Result<Trimmed> {
        let mut windows = self.old_windows(partition, what).await?;
        let mut all = Trimmed::default();
        for _ in 0..STEPS {
            let step = self.forget_step(partition, what, std::mem::take(&mut windows)).await?;
            all.log_records += step.log_records;
            all.changes += step.changes;
            all.seen_windows += step.seen_windows;
            if step.log_records == 0 && step.changes == 0 {
                break;
            }
        }
        Ok(all)
    }

    async fn forget_step(&self, partition: PartitionId, what: Trim, windows: Vec<u32>) -> Result<Trimmed> {
        let tagged = self.keys.partition(partition);
        let mut keys: Vec<_> =
            ["meta", "log", "changes", "windows", "dead"].iter().map(|name| tagged.key(name)).collect();
        keys.extend(windows.iter().map(|window| tagged.seen(*window)));
        let mut call = ScriptCall::new(&scripts::TRIM, keys)
            .number(what.log_before.millis())
            .number(what.feed_before.millis());
        windows.iter().for_each(|window| call.push(window.to_string()));
        let reply = self.cluster.request(tagged.slot, &Request::Call(call), WriteConcern::Acknowledged).await?;
        let mut reply = ReplyFields::of(reply, "a trim")?;
        Ok(Trimmed { log_records: reply.number()?, changes: reply.number()?, seen_windows: reply.number()? })
    }

    /// The windows that nobody can ask for any more.
    async fn old_windows(&self, partition: PartitionId, what: Trim) -> Result<Vec<u32>> {
        // A query of `now` asks for its window and the one before.
        let oldest_asked = window_of(what.now, self.layout.dedup_window).saturating_sub(1);
        let tagged = self.keys.partition(partition);
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(&tagged.key("windows")[..]).arg("-inf").arg(format!("({oldest_asked}"));
        command.arg("LIMIT").arg(0).arg(WINDOWS);
        let reply = self.cluster.request(tagged.slot, &Request::Command(command), WriteConcern::Read).await?;
        let windows = reply::list(reply, "ZRANGEBYSCORE")?;
        let numbers: Result<_, _> =
            windows.iter().map(|number| reply::number(number, "ZRANGEBYSCORE")).collect();
        Ok(numbers?)
    }
}

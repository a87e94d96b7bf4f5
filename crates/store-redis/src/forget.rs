//! Trims: the oldest blocks of log and feed that were written before a time or are above the bound of bytes, and whole windows of
//! remembered ids. Steps are bounded, since a script blocks its server.

use super::cluster::WriteConcern;
use super::dialer::Request;
use super::reply::{self, ReplyFields};
use super::scripts::{self, ScriptCall};
use super::store::RedisStore;
use portrait_profile::{PartitionId, Timestamp};
use portrait_store::backend::seen_sets::{SeenSet, window_of};
use portrait_store::{Result, Trim, Trimmed};

/// Largest number of steps of one call; the next call continues.
const STEPS: usize = 64;
/// Largest number of windows that one call removes.
const WINDOWS: usize = 8;

impl RedisStore {
    /// Removes expired data, up to the bounds of one call.
    pub(super) async fn forget(&self, partition: PartitionId, what: Trim) -> Result<Trimmed> {
        let mut windows = self.old_windows(partition, what).await?;
        let more_windows = windows.len() == WINDOWS;
        let mut all = Trimmed::default();
        for _ in 0..STEPS {
            // Windows go with the first step alone: they are removed by name and not searched.
            let step = self.forget_step(partition, what, std::mem::take(&mut windows)).await?;
            all = Trimmed {
                log_records: all.log_records + step.log_records,
                changes: all.changes + step.changes,
                seen_windows: all.seen_windows + step.seen_windows,
                more: step.more || more_windows,
                ..step
            };
            if !step.more {
                break;
            }
        }
        Ok(all)
    }

    async fn forget_step(&self, partition: PartitionId, what: Trim, windows: Vec<u32>) -> Result<Trimmed> {
        let tagged = self.keys.partition(partition);
        let mut keys: Vec<_> =
            ["meta", "log", "changes", "windows", "dead"].iter().map(|name| tagged.key(name)).collect();
        keys.extend(windows.iter().map(|window| tagged.seen(SeenSet::Window(*window))));
        let mut call = ScriptCall::new(&scripts::TRIM, keys)
            .number(what.log_before.millis())
            .number(what.feed_before.millis())
            .arg(what.log_bytes_max.map_or_else(String::new, |most| most.to_string()));
        windows.iter().for_each(|window| call.push(window.to_string()));
        let reply =
            self.cluster.request(tagged.slot, &Request::Call(call), WriteConcern::Acknowledged).await?;
        let mut reply = ReplyFields::of(reply, "a trim")?;
        Ok(Trimmed {
            log_records: reply.number()?,
            changes: reply.number()?,
            seen_windows: reply.number()?,
            log_bytes: reply.number()?,
            // Empty without a retained record.
            log_oldest_at: reply.text()?.parse().ok().map(Timestamp::from_millis),
            more: reply.number::<u8>()? != 0,
        })
    }

    /// Returns the windows that no later query reads.
    async fn old_windows(&self, partition: PartitionId, what: Trim) -> Result<Vec<u32>> {
        // A query at `now` reads its window and the one before.
        let oldest_read = window_of(what.now, self.layout.dedup_window).saturating_sub(1);
        let tagged = self.keys.partition(partition);
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(&tagged.key("windows")[..]).arg("-inf").arg(format!("({oldest_read}"));
        command.arg("LIMIT").arg(0).arg(WINDOWS);
        let reply = self.cluster.request(tagged.slot, &Request::Command(command), WriteConcern::Read).await?;
        let windows = reply::list(reply, "ZRANGEBYSCORE")?;
        let numbers: Result<_, _> =
            windows.iter().map(|number| reply::number(number, "ZRANGEBYSCORE")).collect();
        Ok(numbers?)
    }
}

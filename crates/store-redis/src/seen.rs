//! The remembered ids. The server keeps those of a window in one string, each after the one before, which costs it next to
//! nothing; who looks one up knows the windows himself, and asks the server only how far they have grown and for what he has
//! not read yet.

use super::dialer::Request;
use super::keys::TaggedKeys;
use super::cluster::WriteConcern;
use super::seen_cache::window::{ID_BYTES, CachedWindow, ids_of, chunk_range};
use super::seen_cache::{SeenIdCache, windows_of};
use super::reply::{self, ReplyFields};
use super::scripts::{self, ScriptCall};
use super::store::RedisStore;
use bytes::Bytes;
use portrait_profile::PartitionId;
use portrait_store::{Error, Result, SeenQuery};
use std::collections::BTreeSet;

/// How many bytes are read at a time.
const READ_BYTES: usize = 1 << 20;

impl RedisStore {
    /// Which of `queries` are remembered, in their window or the one before.
    pub(super) async fn find_seen(
        &self,
        partition: PartitionId,
        queries: &[SeenQuery],
    ) -> Result<Vec<bool>> {
        let length = self.layout.dedup_window;
        let tagged = self.keys.partition(partition);
        let mut remembered = self.seen_cache(partition).lock().await;
        let asked: BTreeSet<u32> = queries.iter().flat_map(|query| windows_of(query, length)).collect();
        self.catch_up(&tagged, &mut remembered, &asked).await?;
        let (mut found, suspects) = remembered.lookup(queries, length);
        for ((window, chunk), indices) in suspects {
            let (first, last) = chunk_range(chunk);
            let ids: BTreeSet<u64> = ids_of(&self.read_ids(&tagged, window, first, last).await?).collect();
            indices.into_iter().for_each(|index| found[index] |= ids.contains(&queries[index].id.get()));
        }
        remembered.forget_old();
        Ok(found)
    }

    /// Forgets what is known of a partition's ids, as one does whose partition it no longer is.
    pub(super) async fn forget_seen(&self, partition: PartitionId) {
        *self.seen_cache(partition).lock().await = SeenIdCache::default();
    }

    /// What is known of a partition's ids.
    pub(super) fn seen_cache(&self, partition: PartitionId) -> &tokio::sync::Mutex<SeenIdCache> {
        &self.seen_caches[usize::from(partition.get())]
    }

    /// Reads what the windows have and is not known yet.
    async fn catch_up(
        &self,
        tagged: &TaggedKeys,
        remembered: &mut SeenIdCache,
        windows: &BTreeSet<u32>,
    ) -> Result<()> {
        let mut keys = vec![tagged.key("meta")];
        keys.extend(windows.iter().map(|window| tagged.seen(*window)));
        let call = ScriptCall::new(&scripts::SEEN, keys);
        let reply = self.cluster.request(tagged.slot, &Request::Call(call), WriteConcern::Read).await?;
        let mut reply = ReplyFields::of(reply, "the windows of ids")?;
        remembered.set_generation(reply.bytes()?.unwrap_or_default());
        for number in windows {
            let bytes: usize = reply.number()?;
            if bytes == 0 {
                remembered.windows.remove(number);
                continue;
            }
            let known = remembered.windows.entry(*number).or_default();
            if known.bytes() > bytes {
                *known = CachedWindow::default();
            }
            while known.bytes() < bytes {
                let first = known.bytes();
                let last = bytes.min(first + READ_BYTES) - 1;
                known.extend(ids_of(&self.read_ids(tagged, *number, first, last).await?));
            }
        }
        Ok(())
    }

    /// A stretch of a window's ids, both ends included.
    async fn read_ids(&self, tagged: &TaggedKeys, window: u32, first: usize, last: usize) -> Result<Bytes> {
        let mut command = redis::cmd("GETRANGE");
        command.arg(&tagged.seen(window)[..]).arg(first).arg(last);
        let reply = self.cluster.request(tagged.slot, &Request::Command(command), WriteConcern::Read).await?;
        let ids = reply::bytes(reply, "GETRANGE")?.unwrap_or_default();
        // A server that lost some of them meanwhile has fewer: whoever asks again is told so.
        if ids.len() == last + 1 - first && ids.len().is_multiple_of(ID_BYTES) {
            Ok(ids)
        } else {
            Err(Error::Unavailable(None))
        }
    }
}

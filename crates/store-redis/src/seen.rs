//! Remembered ids. The server stores those of a window in one string, in the order of their commits, at little more than 8 bytes an
//! id. A process caches the windows that it queries, and reads only their growth.

use super::cluster::WriteConcern;
use super::dialer::Request;
use super::keys::TaggedKeys;
use super::reply::{self, ReplyFields};
use super::scripts::{self, ScriptCall};
use super::seen_cache::window::{CachedWindow, ID_BYTES, chunk_range, ids_of};
use super::seen_cache::{SeenIdCache, windows_of};
use super::store::RedisStore;
use bytes::Bytes;
use portrait_profile::PartitionId;
use portrait_store::{Error, Result, SeenQuery};
use std::collections::BTreeSet;

/// Largest read in bytes.
const READ_BYTES: usize = 1 << 20;

impl RedisStore {
    /// Returns for each of `queries` whether it is remembered, in its window or the one before.
    pub(super) async fn find_seen(&self, partition: PartitionId, queries: &[SeenQuery]) -> Result<Vec<bool>> {
        let length = self.layout.dedup_window;
        let tagged = self.keys.partition(partition);
        let mut cache = self.seen_cache(partition).lock().await;
        let windows: BTreeSet<u32> = queries.iter().flat_map(|query| windows_of(query, length)).collect();
        self.catch_up(&tagged, &mut cache, &windows).await?;
        let (mut found, suspects) = cache.lookup(queries, length);
        // A filter may report an id that is not there, so the chunk's ids are read to be certain.
        for ((window, chunk), indices) in suspects {
            let (first, last) = chunk_range(chunk);
            let ids: BTreeSet<u64> = ids_of(&self.read_ids(&tagged, window, first, last).await?).collect();
            indices.into_iter().for_each(|index| found[index] |= ids.contains(&queries[index].id.get()));
        }
        cache.forget_old();
        Ok(found)
    }

    /// Drops the cached ids of a partition, after the process lost its ownership.
    pub(super) async fn forget_seen(&self, partition: PartitionId) {
        *self.seen_cache(partition).lock().await = SeenIdCache::default();
    }

    /// Returns the cached ids of a partition.
    pub(super) fn seen_cache(&self, partition: PartitionId) -> &tokio::sync::Mutex<SeenIdCache> {
        &self.seen_caches[usize::from(partition.get())]
    }

    /// Reads the ids that the windows gained since the last read.
    async fn catch_up(
        &self,
        tagged: &TaggedKeys,
        cache: &mut SeenIdCache,
        windows: &BTreeSet<u32>,
    ) -> Result<()> {
        let mut keys = vec![tagged.key("meta")];
        keys.extend(windows.iter().map(|window| tagged.seen(*window)));
        let call = ScriptCall::new(&scripts::SEEN, keys);
        let reply = self.cluster.request(tagged.slot, &Request::Call(call), WriteConcern::Read).await?;
        let mut reply = ReplyFields::of(reply, "the windows of ids")?;
        cache.set_generation(reply.bytes()?.unwrap_or_default());
        for number in windows {
            let bytes: usize = reply.number()?;
            // The window expired, or does not exist yet.
            if bytes == 0 {
                cache.windows.remove(number);
                continue;
            }
            let known = cache.windows.entry(*number).or_default();
            // A shorter string than before: the server lost ids, and others may have their places.
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

    /// Reads a range of a window's ids, from byte `first` to byte `last` (both inclusive).
    async fn read_ids(&self, tagged: &TaggedKeys, window: u32, first: usize, last: usize) -> Result<Bytes> {
        let mut command = redis::cmd("GETRANGE");
        command.arg(&tagged.seen(window)[..]).arg(first).arg(last);
        let reply = self.cluster.request(tagged.slot, &Request::Command(command), WriteConcern::Read).await?;
        let ids = reply::bytes(reply, "GETRANGE")?.unwrap_or_default();
        // A server that lost ids during the read returns fewer; the caller retries with the new size.
        if ids.len() == last + 1 - first && ids.len().is_multiple_of(ID_BYTES) {
            Ok(ids)
        } else {
            Err(Error::Unavailable(None))
        }
    }
}

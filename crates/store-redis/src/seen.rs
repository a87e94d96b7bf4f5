//! Remembered ids. The server stores those of a set (a window, or a day of a source) in one string, in the order of their commits, at
//! little more than 8 bytes an id. A process caches the sets that it queries, and reads only their growth.

use super::cluster::WriteConcern;
use super::dialer::Request;
use super::keys::TaggedKeys;
use super::reply::{self, ReplyFields};
use super::scripts::{self, ScriptCall};
use super::seen_cache::SeenIdCache;
use super::store::RedisStore;
use bytes::Bytes;
use portrait_profile::PartitionId;
use portrait_store::backend::cached_ids::{CachedIds, ID_BYTES, chunk_range, ids_of};
use portrait_store::backend::seen_sets::SeenSet;
use portrait_store::{Error, Result, SeenQuery};
use std::collections::BTreeSet;

/// Largest read in bytes.
const READ_BYTES: usize = 1 << 20;

impl RedisStore {
    /// Returns for each of `queries` whether it is remembered, in one of its sets.
    pub(super) async fn find_seen(&self, partition: PartitionId, queries: &[SeenQuery]) -> Result<Vec<bool>> {
        let length = self.layout.dedup_window;
        let tagged = self.keys.partition(partition);
        let mut cache = self.seen_cache(partition).lock().await;
        let sets: BTreeSet<SeenSet> =
            queries.iter().flat_map(|query| SeenSet::of_lookup(query, length)).collect();
        self.catch_up(&tagged, &mut cache, &sets).await?;
        let (mut found, suspects) = cache.lookup(queries, length);
        // A filter may report an id that is not there, so the chunk's ids are read to be certain.
        for ((set, chunk), indices) in suspects {
            let (first, last) = chunk_range(chunk);
            let ids: BTreeSet<u64> = ids_of(&self.read_ids(&tagged, set, first, last).await?).collect();
            indices.into_iter().for_each(|index| found[index] |= ids.contains(&queries[index].id.get()));
        }
        cache.forget_old(sets);
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

    /// Reads the ids that the sets gained since the last read.
    async fn catch_up(
        &self,
        tagged: &TaggedKeys,
        cache: &mut SeenIdCache,
        sets: &BTreeSet<SeenSet>,
    ) -> Result<()> {
        let mut keys = vec![tagged.key("meta")];
        keys.extend(sets.iter().map(|set| tagged.seen(*set)));
        let call = ScriptCall::new(&scripts::SEEN, keys);
        let reply = self.cluster.request(tagged.slot, &Request::Call(call), WriteConcern::Read).await?;
        let mut reply = ReplyFields::of(reply, "the sets of ids")?;
        cache.set_generation(reply.bytes()?.unwrap_or_default());
        for set in sets {
            let bytes: usize = reply.number()?;
            // The set expired, or does not exist yet.
            if bytes == 0 {
                cache.sets.remove(set);
                continue;
            }
            let known = cache.sets.entry(*set).or_default();
            // A shorter string than before: the server lost ids, and others may have their places.
            if known.bytes() > bytes {
                *known = CachedIds::default();
            }
            while known.bytes() < bytes {
                let first = known.bytes();
                let last = bytes.min(first + READ_BYTES) - 1;
                known.extend(ids_of(&self.read_ids(tagged, *set, first, last).await?));
            }
        }
        Ok(())
    }

    /// Reads a range of a set's ids, from byte `first` to byte `last` (both inclusive).
    async fn read_ids(&self, tagged: &TaggedKeys, set: SeenSet, first: usize, last: usize) -> Result<Bytes> {
        let mut command = redis::cmd("GETRANGE");
        command.arg(&tagged.seen(set)[..]).arg(first).arg(last);
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

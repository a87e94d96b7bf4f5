//! The catalogue: items spread over shards by their ids, each shard with a slot of its own. A call is cut by shard and into
//! bounded requests, which run side by side.

use super::dialer::Request;
use super::keys::{ITEM_SHARDS, TaggedKeys};
use super::scan;
use super::store::RedisStore;
use bytes::Bytes;
use portrait_store::{AckLevel, CatalogueEntry, ItemPage, Result, ScanCursor};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// How much one request writes at most; one item is written whatever its size.
const WRITE_ITEMS: usize = 256;
const WRITE_BYTES: usize = 256 << 10;
/// Items that one request reads at most.
const READ_ITEMS: usize = 128;

/// Where a scan of the catalogue goes on.
#[derive(Default, Serialize, Deserialize)]
struct ItemScanCursor {
    shard: u64,
    /// The server's, within the shard.
    server: u64,
}

impl RedisStore {
    /// Adds items or replaces them; of two with one id the later one stays.
    pub(super) async fn write_items(&self, items: Vec<CatalogueEntry>, level: AckLevel) -> Result<()> {
        let newest: HashMap<Bytes, Bytes> = items.into_iter().collect();
        let mut shards: BTreeMap<Bytes, (TaggedKeys, Vec<CatalogueEntry>)> = BTreeMap::new();
        for (id, item) in newest {
            let tagged = self.keys.items(&id);
            let shard = shards.entry(tagged.base()).or_insert_with(|| (tagged, Vec::new()));
            shard.1.push((id, item));
        }
        let how = self.write_concern(level);
        let writes = shards.iter().flat_map(|(key, (tagged, items))| {
            let requests = cut(items).into_iter().map(|items| write(key, items));
            requests.map(move |request| async move { self.cluster.request(tagged.slot, &request, how).await })
        });
        futures::future::try_join_all(writes).await.map(|_| ())
    }

    /// The items of `ids`, in their order.
    pub(super) async fn read_items(&self, ids: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        let mut shards: BTreeMap<Bytes, (TaggedKeys, Vec<usize>)> = BTreeMap::new();
        for (index, id) in ids.iter().enumerate() {
            let tagged = self.keys.items(id);
            let shard = shards.entry(tagged.base()).or_insert_with(|| (tagged, Vec::new()));
            shard.1.push(index);
        }
        let parts = shards.iter().flat_map(|(key, (tagged, indices))| {
            indices.chunks(READ_ITEMS).map(move |indices| async move {
                let fields = indices.iter().map(|index| &ids[*index][..]);
                self.fields(tagged.slot, key, fields).await.map(|values| (indices, values))
            })
        });
        let mut found = vec![None; ids.len()];
        for (indices, values) in futures::future::try_join_all(parts).await? {
            for (index, value) in indices.iter().zip(values) {
                found[*index] = value;
            }
        }
        Ok(found)
    }

    /// What one shard gives at its cursor, and where it goes on; the shards come one after the other.
    pub(super) async fn scan_shards(&self, cursor: Option<ScanCursor>, about: usize) -> Result<ItemPage> {
        let ItemScanCursor { shard, server } = scan::opened(cursor)?;
        let tagged = self.keys.item_shard(shard);
        let about = about.clamp(1, READ_ITEMS);
        let (items, server) = self.scan_hash(tagged.slot, &tagged.base(), server, about).await?;
        let next = match server {
            Some(server) => Some(ItemScanCursor { shard, server }),
            None => Some(ItemScanCursor { shard: shard + 1, server: 0 }).filter(|next| next.shard < ITEM_SHARDS),
        };
        Ok(ItemPage { items, next: next.as_ref().map(scan::sealed).transpose()? })
    }
}

/// Stretches of `items` that one request may write.
fn cut(items: &[CatalogueEntry]) -> Vec<&[CatalogueEntry]> {
    let mut stretches = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (index, (id, item)) in items.iter().enumerate() {
        let added = id.len() + item.len();
        if index > begin && (index - begin >= WRITE_ITEMS || bytes + added > WRITE_BYTES) {
            stretches.push(&items[begin..index]);
            (begin, bytes) = (index, 0);
        }
        bytes += added;
    }
    stretches.push(&items[begin..]);
    stretches
}

fn write(key: &Bytes, items: &[CatalogueEntry]) -> Request {
    let mut command = redis::cmd("HSET");
    command.arg(&key[..]);
    for (id, item) in items {
        command.arg(&id[..]).arg(&item[..]);
    }
    Request::Command(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_is_empty_or_too_large() {
        let item = |size: usize| (Bytes::from_static(b"id"), Bytes::from(vec![0; size]));
        let items: Vec<CatalogueEntry> = (0..1000).map(|number| item(number % 7 * 50_000)).collect();
        let stretches = cut(&items);
        assert_eq!(stretches.iter().map(|stretch| stretch.len()).sum::<usize>(), items.len());
        for stretch in stretches {
            let bytes: usize = stretch.iter().map(|(id, item)| id.len() + item.len()).sum();
            assert!(!stretch.is_empty() && stretch.len() <= WRITE_ITEMS);
            assert!(bytes <= WRITE_BYTES || stretch.len() == 1, "{bytes}");
        }
    }
}

//! Catalogue: items are hashed to shards by their ids, and each shard has a slot of its own. A call is split by shard and into
//! bounded requests, which run concurrently.

use super::cluster::WriteConcern;
use super::dialer::Request;
use super::keys::{ITEM_SHARDS, TaggedKeys};
use super::scan;
use super::store::RedisStore;
use bytes::Bytes;
use portrait_store::{AckLevel, CatalogueEntry, ItemPage, Result, ScanCursor};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Largest number of items in one write.
const WRITE_ITEMS: usize = 256;
/// Largest size of one write in bytes; a single item may exceed it.
const WRITE_BYTES: usize = 256 << 10;
/// Largest number of items in one read.
const READ_ITEMS: usize = 128;

/// Cursor of a scan of the catalogue.
#[derive(Default, Serialize, Deserialize)]
struct ItemScanCursor {
    shard: u64,
    /// Cursor of the server within the shard.
    server: u64,
}

impl RedisStore {
    /// Adds or replaces items; of two with one id the later one is stored.
    pub(super) async fn write_items(&self, items: Vec<CatalogueEntry>, level: AckLevel) -> Result<()> {
        // One item per id, since requests of one call run concurrently and their order is not defined.
        let newest: HashMap<Bytes, Bytes> = items.into_iter().collect();
        let mut shards: BTreeMap<Bytes, (TaggedKeys, Vec<CatalogueEntry>)> = BTreeMap::new();
        for (id, item) in newest {
            let tagged = self.keys.items(&id);
            let shard = shards.entry(tagged.base()).or_insert_with(|| (tagged, Vec::new()));
            shard.1.push((id, item));
        }
        let concern = WriteConcern::of(level);
        let writes = shards.iter().flat_map(|(key, (tagged, items))| {
            let requests = cut(items).into_iter().map(|items| write(key, items));
            requests
                .map(move |request| async move { self.cluster.request(tagged.slot, &request, concern).await })
        });
        futures::future::try_join_all(writes).await.map(|_| ())
    }

    /// Returns the items of `ids`, in their order.
    pub(super) async fn read_items(&self, ids: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        let mut shards: BTreeMap<Bytes, (TaggedKeys, Vec<usize>)> = BTreeMap::new();
        for (index, id) in ids.iter().enumerate() {
            let tagged = self.keys.items(id);
            let shard = shards.entry(tagged.base()).or_insert_with(|| (tagged, Vec::new()));
            shard.1.push(index);
        }
        let parts = shards.iter().flat_map(|(key, (tagged, indices))| {
            // Positions in the request are carried along, since the shards reply in any order.
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

    /// Returns a page of one shard; the shards are scanned one after the other.
    pub(super) async fn scan_shards(&self, cursor: Option<ScanCursor>, about: usize) -> Result<ItemPage> {
        let ItemScanCursor { shard, server } = scan::decode_cursor(cursor)?;
        let tagged = self.keys.item_shard(shard);
        let about = about.clamp(1, READ_ITEMS);
        let (items, server) = self.scan_hash(tagged.slot, &tagged.base(), server, about).await?;
        let next = match server {
            Some(server) => Some(ItemScanCursor { shard, server }),
            None => {
                Some(ItemScanCursor { shard: shard + 1, server: 0 }).filter(|next| next.shard < ITEM_SHARDS)
            }
        };
        Ok(ItemPage { items, next: next.as_ref().map(scan::encode_cursor).transpose()? })
    }
}

/// Splits `items` into ranges that fit into one request.
fn cut(items: &[CatalogueEntry]) -> Vec<&[CatalogueEntry]> {
    let mut ranges = Vec::new();
    let mut begin = 0;
    let mut bytes = 0;
    for (index, (id, item)) in items.iter().enumerate() {
        let added = id.len() + item.len();
        if index > begin && (index - begin >= WRITE_ITEMS || bytes + added > WRITE_BYTES) {
            ranges.push(&items[begin..index]);
            begin = index;
            bytes = 0;
        }
        bytes += added;
    }
    ranges.push(&items[begin..]);
    ranges
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
        let ranges = cut(&items);
        assert_eq!(ranges.iter().map(|range| range.len()).sum::<usize>(), items.len());
        for range in ranges {
            let bytes: usize = range.iter().map(|(id, item)| id.len() + item.len()).sum();
            assert!(!range.is_empty() && range.len() <= WRITE_ITEMS);
            assert!(bytes <= WRITE_BYTES || range.len() == 1, "{bytes}");
        }
    }
}

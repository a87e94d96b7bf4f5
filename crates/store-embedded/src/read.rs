//! Range reads of the log, the feed, the profiles and the catalogue, and the search for expired data. Memory is read first,
//! then the disk, on a thread that may block.

use super::keys::{self, Keyspaces};
use super::store::Embedded;
use super::write_job::{OldBlock, OldBlocks, TrimPlan};
use bytes::Bytes;
use fjall::Keyspace;
use portrait_profile::{PartitionId, Pseudonym, Timestamp};
use portrait_store::backend::block::{self, Block, ReadLimit, take};
use portrait_store::backend::dead;
use portrait_store::backend::seen_sets::window_of;
use portrait_store::backend::stream::StreamKind;
use portrait_store::{
    DeadLetter, Error, ItemPage, LogSeq, ProfileKey, ProfilePage, Result, ScanCursor, TombstonePage, Trim,
};
use std::ops::Bound;
use std::sync::Arc;

/// Largest number of blocks that one read takes from memory or disk.
const BLOCKS_MAX: usize = 256;
/// Largest number of blocks of a stream that one trim removes.
const TRIM_BLOCKS: usize = 512;
/// Largest number of ids, and of dead letters, that one trim removes.
const TRIM_SEEN: usize = 20_000;

/// Runs `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::unavailable)?
}

impl Embedded {
    /// Returns records of a stream after `after` with their positions, within the limit.
    pub(super) async fn records(
        &self,
        kind: StreamKind,
        partition: PartitionId,
        after: u64,
        limit: ReadLimit,
    ) -> Result<Vec<(u64, Bytes)>> {
        let cell = self.cell(partition);
        let in_memory = match kind {
            StreamKind::Log => cell.log().after(after, BLOCKS_MAX),
            StreamKind::Feed => cell.feed().after(after, BLOCKS_MAX),
        };
        if !in_memory.is_empty() {
            // A reader that is current stays off the disk, so its latency is independent of other readers' scans.
            return take(in_memory.into_iter().map(Ok), after, limit);
        }
        let keyspaces = Arc::clone(&self.keyspaces);
        blocking(move || {
            let keyspace = match kind {
                StreamKind::Log => &keyspaces.log,
                StreamKind::Feed => &keyspaces.feed,
            };
            take(blocks_on_disk(keyspace, partition, after)?, after, limit)
        })
        .await
    }

    /// Returns the page of profiles after the cursor, which is the last key of the previous page.
    pub(super) async fn page(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max: usize,
    ) -> Result<ProfilePage> {
        let keyspaces = Arc::clone(&self.keyspaces);
        let (entries, next) =
            blocking(move || entries(&keyspaces.profiles, &keys::partition(partition), cursor, max)).await?;
        let profiles = entries.into_iter().map(|(key, value)| (ProfileKey(key), value)).collect();
        Ok(ProfilePage { profiles, next })
    }

    /// Returns the page of tombstones after the cursor, which is the last key of the previous page.
    pub(super) async fn tombstone_page(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max: usize,
    ) -> Result<TombstonePage> {
        let keyspaces = Arc::clone(&self.keyspaces);
        let (entries, next) =
            blocking(move || entries(&keyspaces.tombstones, &keys::partition(partition), cursor, max))
                .await?;
        let tombstone = |(key, value): (Bytes, Bytes)| {
            let bytes = key[..].try_into().map_err(|_| Error::Damaged {
                detail: format!("a tombstone of partition {partition} has a key of {} bytes", key.len()),
            })?;
            Ok((Pseudonym::new(bytes), value))
        };
        Ok(TombstonePage { tombstones: entries.into_iter().map(tombstone).collect::<Result<_>>()?, next })
    }

    /// Returns the page of items after the cursor, in the order of their ids.
    pub(super) async fn item_page(&self, cursor: Option<ScanCursor>, max: usize) -> Result<ItemPage> {
        let keyspaces = Arc::clone(&self.keyspaces);
        let (items, next) = blocking(move || entries(&keyspaces.items, &[], cursor, max)).await?;
        Ok(ItemPage { items, next })
    }

    /// Returns dead letters after `after`, oldest first.
    pub(super) async fn letters(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max: usize,
    ) -> Result<Vec<DeadLetter>> {
        let keyspaces = Arc::clone(&self.keyspaces);
        blocking(move || {
            let range =
                keys::position_key(partition, after.get() + 1)..=keys::position_key(partition, u64::MAX);
            let entries = keyspaces.dead.range(range).take(max);
            let letter = |entry: fjall::Guard| {
                let (key, value) = entry.into_inner().map_err(Error::unavailable)?;
                dead::decode(keys::position_of_key(&key).unwrap_or_default(), &value)
            };
            entries.map(letter).collect()
        })
        .await
    }

    /// Returns the keys that one bounded step of a trim removes.
    pub(super) async fn plan_trim(&self, partition: PartitionId, what: Trim) -> Result<TrimPlan> {
        let keyspaces = Arc::clone(&self.keyspaces);
        let state = self.cell(partition).state.borrow().clone();
        // Searched on a thread that may block, beside the writer, so that commits do not wait for a trim's search.
        let window_length = self.layout.dedup_window;
        blocking(move || {
            let surplus = state.log_bytes().saturating_sub(what.log_bytes_max.unwrap_or(u64::MAX));
            let bounds = TrimBounds {
                before: what.log_before,
                through: state.applied_through.get(),
                surplus_bytes: surplus,
            };
            let log = old_blocks(&keyspaces.log, partition, bounds)?;
            let bounds = TrimBounds { before: what.feed_before, through: u64::MAX, surplus_bytes: 0 };
            let feed = old_blocks(&keyspaces.feed, partition, bounds)?;
            // Dead letters go with their records, also those of records that an earlier trim removed.
            let dead = old_letters(&keyspaces.dead, partition, state.log_trimmed.get().max(log.through()))?;
            // A query at `now` reads its window and the one before.
            let oldest_read = window_of(what.now, window_length).saturating_sub(1);
            let seen = old_ids(&keyspaces, partition, oldest_read)?;
            let more = log.more || feed.more || dead.len() == TRIM_SEEN || seen.len() == TRIM_SEEN;
            Ok(TrimPlan { log, feed, dead, seen, more })
        })
        .await
    }
}

/// Keys, without their prefix, and values.
type Entries = Vec<(Bytes, Bytes)>;

/// Returns at most `max` entries after the cursor whose keys begin with `prefix`, and the cursor of the next page. The prefix is
/// cut from the keys.
fn entries(
    keyspace: &Keyspace,
    prefix: &[u8],
    cursor: Option<ScanCursor>,
    max: usize,
) -> Result<(Entries, Option<ScanCursor>)> {
    let last = cursor.map(|cursor| [prefix, &cursor.0].concat());
    let begin = last.map_or(Bound::Included(prefix.to_vec()), Bound::Excluded);
    let mut page = Entries::new();
    for entry in keyspace.range::<Vec<u8>, _>((begin, Bound::Unbounded)) {
        let (key, value) = entry.into_inner().map_err(Error::unavailable)?;
        // Keys are in order: the first one without the prefix belongs to the next partition.
        let Some(key) = key.strip_prefix(prefix) else { break };
        page.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(&value)));
        // A full page returns a cursor even at the last entry: finding that out costs a read that the next call makes anyway.
        if page.len() >= max.max(1) {
            let next = page.last().map(|(key, _)| ScanCursor(key.clone()));
            return Ok((page, next));
        }
    }
    Ok((page, None))
}

/// Returns the blocks on disk, beginning with the block that contains the position after `after`.
fn blocks_on_disk(
    keyspace: &Keyspace,
    partition: PartitionId,
    after: u64,
) -> Result<impl Iterator<Item = Result<Block>> + use<>> {
    let wanted = keys::position_key(partition, after + 1);
    // Keys name the first position of a block, so the block of a position is the last one that begins at or before it.
    let first = keyspace.range(keys::position_key(partition, 0)..=wanted).next_back();
    let begin = match first {
        Some(entry) => entry.key().map_err(Error::unavailable)?.to_vec(),
        None => wanted.to_vec(),
    };
    let blocks = keyspace.range(begin..=keys::position_key(partition, u64::MAX).to_vec()).take(BLOCKS_MAX);
    Ok(blocks.map(|entry| {
        let (key, value) = entry.into_inner().map_err(Error::unavailable)?;
        Block::new(keys::position_of_key(&key).unwrap_or_default(), Bytes::copy_from_slice(&value))
    }))
}

/// Blocks of a stream that a trim removes: those written before a time, and further ones until the surplus is removed.
#[derive(Clone, Copy)]
struct TrimBounds {
    /// Blocks written before it are removed.
    before: Timestamp,
    /// Position at which the last removed block ends at the latest.
    through: u64,
    /// Bytes to remove even if they are newer.
    surplus_bytes: u64,
}

/// Returns the oldest blocks of a stream that `bounds` name.
fn old_blocks(keyspace: &Keyspace, partition: PartitionId, bounds: TrimBounds) -> Result<OldBlocks> {
    let mut found = OldBlocks::default();
    let mut surplus_bytes = bounds.surplus_bytes;
    for entry in keyspace.prefix(keys::partition(partition)) {
        if found.blocks.len() == TRIM_BLOCKS {
            found.more = true;
            break;
        }
        let (key, value) = entry.into_inner().map_err(Error::unavailable)?;
        let first = keys::position_of_key(&key).unwrap_or_default();
        let written_at = block::written_at(&value);
        let is_wanted = surplus_bytes > 0 || written_at.is_some_and(|at| at < bounds.before);
        let block = Block::new(first, Bytes::copy_from_slice(&value))?;
        // Blocks are removed from the oldest on without a gap, so the first one to stay ends the search.
        if !is_wanted || block.last() > bounds.through {
            found.oldest_at = written_at;
            break;
        }
        let bytes = block.size() as u64;
        surplus_bytes = surplus_bytes.saturating_sub(bytes);
        found.blocks.push(OldBlock { key: keys::position_key(partition, first), last: block.last(), bytes });
    }
    Ok(found)
}

/// Returns the keys of dead letters up to position `through`, whose records are trimmed.
fn old_letters(keyspace: &Keyspace, partition: PartitionId, through: u64) -> Result<Vec<[u8; 10]>> {
    let entries = keyspace.range(keys::position_key(partition, 0)..=keys::position_key(partition, through));
    let key = |entry: fjall::Guard| {
        let key = entry.key().map_err(Error::unavailable)?;
        Ok(keys::position_key(partition, keys::position_of_key(&key).unwrap_or_default()))
    };
    entries.take(TRIM_SEEN).map(key).collect()
}

fn old_ids(keyspaces: &Keyspaces, partition: PartitionId, oldest_read: u32) -> Result<Vec<Vec<u8>>> {
    let range = keys::seen_window(partition, 0).to_vec()..keys::seen_window(partition, oldest_read).to_vec();
    let entries = keyspaces.seen.range(range).take(TRIM_SEEN);
    entries.map(|entry| entry.key().map(|key| key.to_vec()).map_err(Error::unavailable)).collect()
}

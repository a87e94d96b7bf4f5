//! Reading stretches: of the log, the feed, the profiles, and of what is old enough to be forgotten. Memory first, then the
//! disk; the disk is read on a thread that may block.

use super::keys::{self, Keyspaces};
use super::store::Embedded;
use super::writer::TrimPlan;
use bytes::Bytes;
use fjall::Keyspace;
use portrait_profile::{PartitionId, Pseudonym, Timestamp};
use portrait_store::backend::block::{self, Block, ReadLimit, take};
use portrait_store::backend::dead;
use portrait_store::backend::stream::StreamKind;
use portrait_store::{
    DeadLetter, Error, FeedSeq, ItemPage, LogSeq, ProfileKey, ProfilePage, Result, ScanCursor, TombstonePage,
    Trim,
};
use std::ops::Bound;
use std::sync::Arc;

/// Blocks one read takes from memory or disk at max.
const BLOCKS_MAX: usize = 256;
/// Entries of each kind that one trim removes at max.
const TRIM_BLOCKS: usize = 512;
const TRIM_SEEN: usize = 20_000;

/// Runs what may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::unavailable)?
}

impl Embedded {
    /// Records after `after`, with their places, up to `end`.
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
            return take(in_memory.into_iter().map(Ok), after, limit);
        }
        let keyspaces = Arc::clone(&self.keyspaces);
        blocking(move || {
            let keyspace = match kind {
                StreamKind::Log => &keyspaces.log,
                StreamKind::Feed => &keyspaces.feed,
            };
            take(on_disk(keyspace, partition, after)?, after, limit)
        })
        .await
    }

    /// A page of profiles after the cursor, which is the last key.
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

    /// A page of tombstones after the cursor, which is the last key.
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

    /// Some items of the catalogue, in the order of their ids.
    pub(super) async fn item_page(&self, cursor: Option<ScanCursor>, max: usize) -> Result<ItemPage> {
        let keyspaces = Arc::clone(&self.keyspaces);
        let (items, next) = blocking(move || entries(&keyspaces.items, &[], cursor, max)).await?;
        Ok(ItemPage { items, next })
    }

    /// Dead letters after `after`.
    pub(super) async fn letters(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max: usize,
    ) -> Result<Vec<DeadLetter>> {
        let keyspaces = Arc::clone(&self.keyspaces);
        blocking(move || {
            let range = keys::position_key(partition, after.get() + 1)..=keys::position_key(partition, u64::MAX);
            let entries = keyspaces.dead.range(range).take(max);
            let letter = |entry: fjall::Guard| {
                let (key, value) = entry.into_inner().map_err(Error::unavailable)?;
                dead::decode(keys::position_of_key(&key).unwrap_or_default(), &value)
            };
            entries.map(letter).collect()
        })
        .await
    }

    /// What may be forgotten, in one bounded step.
    pub(super) async fn find_old(&self, partition: PartitionId, what: Trim) -> Result<TrimPlan> {
        let keyspaces = Arc::clone(&self.keyspaces);
        let (applied_through, trimmed) = {
            let state = self.cell(partition).state.borrow();
            (state.applied_through, state.log_trimmed.get())
        };
        let window_length = self.layout.dedup_window;
        blocking(move || {
            let mut found = TrimPlan::default();
            let log = old_blocks(&keyspaces.log, partition, what.log_before, applied_through.get())?;
            (found.log, found.log_through) = (log.0, LogSeq::new(log.1));
            found.dead = old_letters(&keyspaces.dead, partition, trimmed.max(log.1))?;
            let feed = old_blocks(&keyspaces.feed, partition, what.feed_before, u64::MAX)?;
            (found.feed, found.feed_through) = (feed.0, FeedSeq::new(feed.1));
            // A query of `now` asks for its window and the one before.
            let oldest_asked = keys::window(what.now, window_length).saturating_sub(1);
            found.seen = old_ids(&keyspaces, partition, oldest_asked)?;
            Ok(found)
        })
        .await
    }
}

/// Keys and values.
type Entries = Vec<(Bytes, Bytes)>;

/// Entries after the cursor of those whose keys begin with `prefix`, which is left out of them, and the cursor after them.
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
        let Some(key) = key.strip_prefix(prefix) else { break };
        page.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(&value)));
        if page.len() >= max.max(1) {
            let next = page.last().map(|(key, _)| ScanCursor(key.clone()));
            return Ok((page, next));
        }
    }
    Ok((page, None))
}

/// The blocks on disk from the one that has the place after `after`.
fn on_disk(
    keyspace: &Keyspace,
    partition: PartitionId,
    after: u64,
) -> Result<impl Iterator<Item = Result<Block>> + use<>> {
    let wanted = keys::position_key(partition, after + 1);
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

/// Keys of blocks written before `before` that end at `through` at the latest, from the oldest, and the last place of them.
fn old_blocks(
    keyspace: &Keyspace,
    partition: PartitionId,
    before: Timestamp,
    through: u64,
) -> Result<(Vec<[u8; 10]>, u64)> {
    let mut found = (Vec::new(), 0);
    for entry in keyspace.prefix(keys::partition(partition)).take(TRIM_BLOCKS) {
        let (key, value) = entry.into_inner().map_err(Error::unavailable)?;
        let first = keys::position_of_key(&key).unwrap_or_default();
        let old = block::written_at(&value).is_some_and(|at| at < before);
        let last = Block::new(first, Bytes::copy_from_slice(&value))?.last();
        if !old || last > through {
            break;
        }
        found.0.push(keys::position_key(partition, first));
        found.1 = last;
    }
    Ok(found)
}

/// Keys of dead letters of places up to `through`: those of records that are trimmed.
fn old_letters(keyspace: &Keyspace, partition: PartitionId, through: u64) -> Result<Vec<[u8; 10]>> {
    let entries = keyspace.range(keys::position_key(partition, 0)..=keys::position_key(partition, through));
    let place = |entry: fjall::Guard| {
        let key = entry.key().map_err(Error::unavailable)?;
        Ok(keys::position_key(partition, keys::position_of_key(&key).unwrap_or_default()))
    };
    entries.take(TRIM_SEEN).map(place).collect()
}

fn old_ids(keyspaces: &Keyspaces, partition: PartitionId, oldest_asked: u32) -> Result<Vec<Vec<u8>>> {
    let range = keys::seen_window(partition, 0).to_vec()..keys::seen_window(partition, oldest_asked).to_vec();
    let entries = keyspaces.seen.range(range).take(TRIM_SEEN);
    entries.map(|entry| entry.key().map(|key| key.to_vec()).map_err(Error::unavailable)).collect()
}

//! Where everything lies: the keyspaces of the database and the keys in them. Numbers are big endian, so that the order of
//! keys is the order of places.

use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use portrait_profile::{PartitionId, Pseudonym, TimeDelta, Timestamp};
use portrait_store::{PartName, ProfileKey, SeenQuery};

/// The keyspaces.
pub(super) struct Keyspaces {
    /// partition -> standing.
    pub(super) meta: Keyspace,
    /// partition -> generations of log and feed; written at open only, since they never change while open.
    pub(super) generations: Keyspace,
    /// partition, first place -> block of records.
    pub(super) log: Keyspace,
    /// partition, first place -> block of changes.
    pub(super) feed: Keyspace,
    /// partition, key -> profile.
    pub(super) profiles: Keyspace,
    /// partition, pseudonym -> tombstone.
    pub(super) tombstones: Keyspace,
    /// partition, window, id -> nothing.
    pub(super) seen: Keyspace,
    /// partition, place -> dead letter.
    pub(super) dead: Keyspace,
    /// item id -> item.
    pub(super) items: Keyspace,
    /// [`MODELS`] -> models.
    pub(super) models: Keyspace,
    /// name -> part of a model.
    pub(super) parts: Keyspace,
    /// Written to fill a journal, so that it ends; nothing is kept there.
    pub(super) filler: Keyspace,
}

/// The one key of what there is once for all models.
pub(super) const MODELS: [u8; 1] = [0];

impl Keyspaces {
    /// Opens them, new or old.
    pub(super) fn open(database: &Database) -> fjall::Result<Self> {
        let open = |name: &str| database.keyspace(name, KeyspaceCreateOptions::default);
        Ok(Self {
            meta: open("meta")?,
            generations: open("generations")?,
            log: open("log")?,
            feed: open("feed")?,
            profiles: open("profiles")?,
            tombstones: open("tombstones")?,
            seen: open("seen")?,
            dead: open("dead")?,
            items: open("items")?,
            models: open("models")?,
            parts: open("parts")?,
            filler: open("filler")?,
        })
    }

    /// All of them.
    pub(super) fn all(&self) -> [&Keyspace; 12] {
        let Self {
            meta,
            generations,
            log,
            feed,
            profiles,
            tombstones,
            seen,
            dead,
            items,
            models,
            parts,
            filler,
        } = self;
        [meta, generations, log, feed, profiles, tombstones, seen, dead, items, models, parts, filler]
    }
}

/// The key of what there is once for a partition, and the prefix of all else of it.
pub(super) fn partition(partition: PartitionId) -> [u8; 2] {
    partition.get().to_be_bytes()
}

/// The key of a place in a log, a feed or the dead letters.
pub(super) fn position_key(partition: PartitionId, seq: u64) -> [u8; 10] {
    let mut key = [0; 10];
    key[..2].copy_from_slice(&partition.get().to_be_bytes());
    key[2..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// The key of a part of a model.
pub(super) fn part(name: PartName) -> [u8; 16] {
    name.get().to_be_bytes()
}

/// The place in a key that [`place`] made.
pub(super) fn position_of_key(key: &[u8]) -> Option<u64> {
    key.get(2..10)?.try_into().ok().map(u64::from_be_bytes)
}

/// The key of a profile.
pub(super) fn profile(partition: PartitionId, key: &ProfileKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + key.0.len());
    bytes.extend_from_slice(&partition.get().to_be_bytes());
    bytes.extend_from_slice(&key.0);
    bytes
}

/// The key of a tombstone.
pub(super) fn tombstone(partition: PartitionId, pseudonym: Pseudonym) -> Vec<u8> {
    [&partition.get().to_be_bytes()[..], pseudonym.bytes()].concat()
}

/// The de-duplication window of a moment.
pub(super) fn window(at: Timestamp, length: TimeDelta) -> u32 {
    u32::try_from((at.millis() / length.millis().max(1)).max(0)).unwrap_or(u32::MAX)
}

/// The key of a remembered id.
pub(super) fn seen(partition: PartitionId, window: u32, query: &SeenQuery) -> [u8; 14] {
    let mut key = [0; 14];
    key[..6].copy_from_slice(&seen_window(partition, window));
    key[6..].copy_from_slice(&query.id.get().to_be_bytes());
    key
}

/// The prefix of a window's ids.
pub(super) fn seen_window(partition: PartitionId, window: u32) -> [u8; 6] {
    let mut key = [0; 6];
    key[..2].copy_from_slice(&partition.get().to_be_bytes());
    key[2..].copy_from_slice(&window.to_be_bytes());
    key
}

/// Window and id in a key that [`seen`] made.
pub(super) fn seen_of(key: &[u8]) -> Option<(u32, u64)> {
    let window = u32::from_be_bytes(key.get(2..6)?.try_into().ok()?);
    let id = u64::from_be_bytes(key.get(6..14)?.try_into().ok()?);
    Some((window, id))
}

//! Keyspaces of the database, and the keys in them. Numbers are big endian, so that the order of keys is the order of
//! positions. The names of the keyspaces and the forms of the keys are stored, and do not change within a format.

use super::tuning::Tuning;
use fjall::{Database, Keyspace};
use portrait_profile::{PartitionId, Pseudonym, SourceDay};
use portrait_store::{PartName, ProfileKey, SeenQuery};

/// Keyspaces of a store, with the key and value of each.
pub(super) struct Keyspaces {
    /// Map from a partition to its state.
    pub(super) meta: Keyspace,
    /// Map from a partition to the generations of log and feed. Written at open alone, since they are fixed while open.
    pub(super) generations: Keyspace,
    /// Map from partition and first position to a block of records.
    pub(super) log: Keyspace,
    /// Map from partition and first position to a block of changes.
    pub(super) feed: Keyspace,
    /// Map from partition and profile key to a profile.
    pub(super) profiles: Keyspace,
    /// Map from partition and pseudonym to a tombstone.
    pub(super) tombstones: Keyspace,
    /// Set of partition, window and id; the values are empty.
    pub(super) seen: Keyspace,
    /// Map from partition, day of a source and number of the first id to a piece of its ids.
    pub(super) sources: Keyspace,
    /// Map from partition and position to a dead letter.
    pub(super) dead: Keyspace,
    /// Map from item id to an item of the catalogue.
    pub(super) items: Keyspace,
    /// Single value under [`MODELS`]: registry and training lease.
    pub(super) models: Keyspace,
    /// Map from a part's name to the part of a model.
    pub(super) parts: Keyspace,
    /// Scratch keyspace: writes to it fill a journal so that the journal ends. It holds no data.
    pub(super) filler: Keyspace,
}

/// Key of the one value in the keyspace `models`.
pub(super) const MODELS: [u8; 1] = [0];

impl Keyspaces {
    /// Opens the keyspaces, and creates those that do not exist.
    pub(super) fn open(database: &Database) -> fjall::Result<Self> {
        let open = |name: &str, tuning: Tuning| database.keyspace(name, || tuning.options());
        Ok(Self {
            meta: open("meta", Tuning::SMALL)?,
            generations: open("generations", Tuning::SMALL)?,
            log: open("log", Tuning::STREAM)?,
            feed: open("feed", Tuning::STREAM)?,
            profiles: open("profiles", Tuning::PROFILES)?,
            tombstones: open("tombstones", Tuning::SMALL)?,
            seen: open("seen", Tuning::SEEN)?,
            sources: open("sources", Tuning::STREAM)?,
            dead: open("dead", Tuning::STREAM)?,
            items: open("items", Tuning::ITEMS)?,
            models: open("models", Tuning::SMALL)?,
            parts: open("parts", Tuning::SMALL)?,
            filler: open("filler", Tuning::FILLER)?,
        })
    }

    /// Returns every keyspace, for the rewrite of files.
    pub(super) fn all(&self) -> [&Keyspace; 13] {
        // Taken apart by name, so that a new keyspace cannot be left out of a rewrite.
        let Self {
            meta,
            generations,
            log,
            feed,
            profiles,
            tombstones,
            seen,
            sources,
            dead,
            items,
            models,
            parts,
            filler,
        } = self;
        [
            meta,
            generations,
            log,
            feed,
            profiles,
            tombstones,
            seen,
            sources,
            dead,
            items,
            models,
            parts,
            filler,
        ]
    }
}

/// Returns the key of a partition's single values, which is the prefix of all its other keys.
pub(super) fn partition(partition: PartitionId) -> [u8; 2] {
    partition.get().to_be_bytes()
}

/// Returns the key of a position in a log, a feed or the dead letters.
pub(super) fn position_key(partition: PartitionId, seq: u64) -> [u8; 10] {
    let mut key = [0; 10];
    // The partition comes first, so that each partition is one range of keys.
    key[..2].copy_from_slice(&partition.get().to_be_bytes());
    key[2..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// Returns the key of a model part.
pub(super) fn part(name: PartName) -> [u8; 16] {
    name.get().to_be_bytes()
}

/// Returns the name in the key of a model part; none for bytes that are no such key.
pub(super) fn part_name(key: &[u8]) -> Option<PartName> {
    key.try_into().ok().map(|bits| PartName::new(u128::from_be_bytes(bits)))
}

/// Returns the position in a key made by [`position_key`].
pub(super) fn position_of_key(key: &[u8]) -> Option<u64> {
    key.get(2..10)?.try_into().ok().map(u64::from_be_bytes)
}

/// Returns the key of a profile.
pub(super) fn profile(partition: PartitionId, key: &ProfileKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + key.0.len());
    bytes.extend_from_slice(&partition.get().to_be_bytes());
    bytes.extend_from_slice(&key.0);
    bytes
}

/// Returns the key of a tombstone.
pub(super) fn tombstone(partition: PartitionId, pseudonym: Pseudonym) -> Vec<u8> {
    [&partition.get().to_be_bytes()[..], pseudonym.bytes()].concat()
}

/// Returns the key of a remembered id.
pub(super) fn seen(partition: PartitionId, window: u32, query: &SeenQuery) -> [u8; 14] {
    let mut key = [0; 14];
    key[..6].copy_from_slice(&seen_window(partition, window));
    key[6..].copy_from_slice(&query.id.get().to_be_bytes());
    key
}

/// Returns the prefix of the keys of a window's ids.
pub(super) fn seen_window(partition: PartitionId, window: u32) -> [u8; 6] {
    let mut key = [0; 6];
    key[..2].copy_from_slice(&partition.get().to_be_bytes());
    key[2..].copy_from_slice(&window.to_be_bytes());
    key
}

/// Returns the prefix of the keys of the ids of a source on one day.
pub(super) fn source_day(partition: PartitionId, day: SourceDay) -> [u8; 14] {
    let mut key = [0; 14];
    key[..2].copy_from_slice(&partition.get().to_be_bytes());
    key[2..].copy_from_slice(&day.to_bytes());
    key
}

/// Returns the key of a piece of these ids, by the number of its first one.
pub(super) fn source_piece(partition: PartitionId, day: SourceDay, first: u32) -> [u8; 18] {
    let mut key = [0; 18];
    key[..14].copy_from_slice(&source_day(partition, day));
    key[14..].copy_from_slice(&first.to_be_bytes());
    key
}

/// Returns the number of the first id in a key made by [`source_piece`].
pub(super) fn first_of_piece(key: &[u8]) -> Option<u32> {
    key.get(14..18)?.try_into().ok().map(u32::from_be_bytes)
}

/// Returns window and id of a key made by [`seen`].
pub(super) fn seen_of(key: &[u8]) -> Option<(u32, u64)> {
    let window = u32::from_be_bytes(key.get(2..6)?.try_into().ok()?);
    let id = u64::from_be_bytes(key.get(6..14)?.try_into().ok()?);
    Some((window, id))
}

//! Cached list of remembered ids, which the store keeps in the order of their commits: the newest ids exactly, older ones as binary
//! fuse filters (Graf and Lemire, 2022) of about 18 bits an id. A filter has no false negatives; possible hits are verified in the
//! store. This module does no I/O.
//!
//! ```text
//! store    id id id ... id │ id id id ... id │ id id id
//! memory       filter 0    │     filter 1    │  newest
//! ```

use super::id_set::IdSet;
use portrait_profile::SeenId;
use xorf::{BinaryFuse16, Filter};

/// Size of a stored id in bytes.
pub const ID_BYTES: usize = 8;
/// Number of ids of one filter.
pub const CHUNK_IDS: usize = 32_768;

/// Cached beginning of a list of ids.
#[derive(Default)]
pub struct CachedIds {
    /// Number of cached ids, from the first stored one on.
    count: usize,
    chunks: Vec<IdChunk>,
    /// Ids after the last chunk.
    newest: IdSet,
}

/// Ids of a range of [`CHUNK_IDS`].
enum IdChunk {
    Filter(BinaryFuse16),
    /// Ids for which the construction of a filter failed, which is rare.
    Exact(IdSet),
}

/// Result of a lookup in the cache.
#[derive(Debug, PartialEq, Eq)]
pub enum IdLookup {
    /// The id is remembered.
    Seen,
    /// The id is in one of these chunks or in none; without a chunk it is new.
    MaybeIn(Vec<usize>),
}

impl CachedIds {
    /// Returns the number of cached ids.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the size of the cached ids in the store in bytes.
    pub fn bytes(&self) -> usize {
        self.count * ID_BYTES
    }

    /// Adds the ids that follow the cached ones.
    pub fn extend(&mut self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            self.newest.insert(id);
            self.count += 1;
            if self.count.is_multiple_of(CHUNK_IDS) {
                // A filter cannot be extended, so ids are collected exactly until a chunk is full.
                self.chunks.push(IdChunk::of(std::mem::take(&mut self.newest)));
            }
        }
    }

    /// Looks up `id` among the cached ids.
    pub fn lookup(&self, id: SeenId) -> IdLookup {
        let id = id.get();
        // The newest ids first: a resent record usually follows its original closely.
        if self.newest.contains(&id) {
            return IdLookup::Seen;
        }
        let mut within = Vec::new();
        for (number, chunk) in self.chunks.iter().enumerate() {
            match chunk {
                IdChunk::Filter(filter) if filter.contains(&id) => within.push(number),
                IdChunk::Exact(ids) if ids.contains(&id) => return IdLookup::Seen,
                IdChunk::Filter(_) | IdChunk::Exact(_) => {}
            }
        }
        IdLookup::MaybeIn(within)
    }
}

impl IdChunk {
    fn of(ids: IdSet) -> Self {
        let keys: Vec<u64> = ids.iter().copied().collect();
        BinaryFuse16::try_from(keys).map_or(Self::Exact(ids), Self::Filter)
    }
}

/// Returns first and last byte of a chunk in the stored list (both inclusive).
pub fn chunk_range(chunk: usize) -> (usize, usize) {
    let bytes = CHUNK_IDS * ID_BYTES;
    (chunk * bytes, (chunk + 1) * bytes - 1)
}

/// Returns the stored form of an id, big endian.
pub fn stored_id(id: SeenId) -> [u8; ID_BYTES] {
    id.get().to_be_bytes()
}

/// Returns the ids in a range of the stored list.
pub fn ids_of(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.as_chunks().0.iter().map(|id| u64::from_be_bytes(*id))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the `number`-th id, spread as hashes are.
    fn id(number: u64) -> u64 {
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1
    }

    #[test]
    fn stored_ids_are_always_found_and_new_ids_rarely_collide() {
        let mut window = CachedIds::default();
        let many = 3 * CHUNK_IDS as u64 + 100;
        window.extend((0..many).map(id));
        assert_eq!(window.bytes(), many as usize * ID_BYTES);
        let mut suspected = 0;
        for number in 0..2 * many {
            let there = (number < many).then_some(number as usize / CHUNK_IDS);
            match (window.lookup(SeenId::from_bits(id(number))), there) {
                (IdLookup::Seen, there) => assert_eq!(there, Some(3), "only the newest are known whole"),
                (IdLookup::MaybeIn(chunks), Some(chunk)) => assert!(chunks.contains(&chunk)),
                (IdLookup::MaybeIn(chunks), None) => suspected += usize::from(!chunks.is_empty()),
            }
        }
        assert!(suspected < 30, "{suspected} of {many}");
    }

    #[test]
    fn ids_are_decoded_as_they_are_encoded() {
        let ids: Vec<u64> = [0, 1, id(7), u64::MAX >> 1].to_vec();
        let bytes: Vec<u8> = ids.iter().flat_map(|id| stored_id(SeenId::from_bits(*id))).collect();
        assert_eq!(ids_of(&bytes).collect::<Vec<_>>(), ids);
        assert_eq!(chunk_range(1), (CHUNK_IDS * ID_BYTES, 2 * CHUNK_IDS * ID_BYTES - 1));
    }
}

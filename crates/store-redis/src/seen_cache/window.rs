//! One window of remembered ids as a process knows it: the newest ids whole, older ones as filters of about 18 bits an id. A
//! filter never denies an id that is there; whom it may have is read from the server. Nothing here asks anybody.
//!
//! ```text
//! server   id id id ... id │ id id id ... id │ id id id
//! process      filter 0    │     filter 1    │  newest
//! ```

use portrait_profile::SeenId;
use portrait_store::backend::id_set::IdSet;
use xorf::{BinaryFuse16, Filter};

/// How many bytes an id has on the server.
pub(crate) const ID_BYTES: usize = 8;
/// How many ids become one filter.
const CHUNK_IDS: usize = 32_768;

/// What is known of a window.
#[derive(Default)]
pub(crate) struct CachedWindow {
    /// How many ids of the server's are known, from its first on.
    count: usize,
    chunks: Vec<IdChunk>,
    /// Those after the last chunk.
    newest: IdSet,
}

/// The ids of a stretch of [`CHUNK_IDS`].
enum IdChunk {
    Filter(BinaryFuse16),
    /// Ids that no filter could be made of, which happens to hardly any.
    Exact(IdSet),
}

/// What is known of an id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IdLookup {
    /// It is remembered.
    Seen,
    /// It is in one of these chunks, or in none; usually there is no chunk here, and it is new.
    MaybeIn(Vec<usize>),
}

impl CachedWindow {
    /// How many bytes of the server's string are known.
    pub(crate) fn bytes(&self) -> usize {
        self.count * ID_BYTES
    }

    /// Takes the ids that follow those that are known.
    pub(crate) fn extend(&mut self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            self.newest.insert(id);
            self.count += 1;
            if self.count.is_multiple_of(CHUNK_IDS) {
                self.chunks.push(IdChunk::of(std::mem::take(&mut self.newest)));
            }
        }
    }

    /// What is known of `id`.
    pub(crate) fn lookup(&self, id: SeenId) -> IdLookup {
        let id = id.get();
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

/// Where a chunk lies in the server's string, both ends included.
pub(crate) fn chunk_range(chunk: usize) -> (usize, usize) {
    let bytes = CHUNK_IDS * ID_BYTES;
    (chunk * bytes, (chunk + 1) * bytes - 1)
}

/// An id as the server keeps it.
pub(crate) fn stored_id(id: SeenId) -> [u8; ID_BYTES] {
    id.get().to_be_bytes()
}

/// The ids that a stretch of the server's string has.
pub(crate) fn ids_of(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.as_chunks().0.iter().map(|id| u64::from_be_bytes(*id))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids as far apart as hashes are.
    fn id(number: u64) -> u64 {
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1
    }

    #[test]
    fn what_is_there_is_never_denied_and_what_is_not_is_hardly_ever_suspected() {
        let mut window = CachedWindow::default();
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
    fn ids_are_read_as_they_are_kept() {
        let ids: Vec<u64> = [0, 1, id(7), u64::MAX >> 1].to_vec();
        let bytes: Vec<u8> = ids.iter().flat_map(|id| stored_id(SeenId::from_bits(*id))).collect();
        assert_eq!(ids_of(&bytes).collect::<Vec<_>>(), ids);
        assert_eq!(chunk_range(1), (CHUNK_IDS * ID_BYTES, 2 * CHUNK_IDS * ID_BYTES - 1));
    }
}

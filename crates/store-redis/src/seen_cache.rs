//! Cache of the remembered ids of one partition. It is valid for one generation: a server that lost ids begins another one with its
//! next write. This module does no I/O.

pub(super) mod window;

use self::window::{CachedWindow, IdLookup, ids_of, stored_id};
use bytes::Bytes;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::SeenQuery;
use std::collections::BTreeMap;

/// Number of cached windows of a partition: the current one, the one before, and one that begins.
const WINDOWS_CACHED_MAX: usize = 3;

/// Cached ids of one partition.
#[derive(Default)]
pub(super) struct SeenIdCache {
    /// Generation that the windows belong to.
    generation: Bytes,
    pub(super) windows: BTreeMap<u32, CachedWindow>,
}

/// Number of a window, and of a chunk in it.
type ChunkKey = (u32, usize);

/// Returns the number of the window at a time.
pub(super) fn window_of(at: Timestamp, length: TimeDelta) -> u32 {
    u32::try_from((at.millis() / length.millis().max(1)).max(0)).unwrap_or(u32::MAX)
}

/// Returns the windows that may hold a query's id: its own and the one before.
pub(super) fn windows_of(query: &SeenQuery, length: TimeDelta) -> impl Iterator<Item = u32> + use<> {
    let window = window_of(query.arrived_at, length);
    [Some(window), window.checked_sub(1)].into_iter().flatten()
}

/// Returns the encoded ids by the window that they are added to.
pub(super) fn additions(seen: &[SeenQuery], length: TimeDelta) -> BTreeMap<u32, Vec<u8>> {
    let mut additions: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for query in seen {
        let ids = additions.entry(window_of(query.arrived_at, length)).or_default();
        // In the order of the commit, so that the cache can append the same bytes as the server.
        ids.extend_from_slice(&stored_id(query.id));
    }
    additions
}

impl SeenIdCache {
    /// Drops the windows of another generation.
    pub(super) fn set_generation(&mut self, generation: Bytes) {
        // Lost ids may have been replaced by others at the same place of the string, so nothing of an old generation is reused.
        if self.generation != generation {
            *self = Self { generation, windows: BTreeMap::new() };
        }
    }

    /// Adds ids that a commit appended, after which the window has `bytes` bytes on the server.
    pub(super) fn added(&mut self, window: u32, ids: &[u8], bytes: usize) {
        // Another process may have appended before; then the sizes differ and the next lookup reads the missing ids.
        if let Some(known) = self.windows.get_mut(&window)
            && known.bytes() + ids.len() == bytes
        {
            known.extend(ids_of(ids));
        }
    }

    /// Returns which of `queries` are known to be remembered, and the queries to check by chunk.
    pub(super) fn lookup(
        &self,
        queries: &[SeenQuery],
        length: TimeDelta,
    ) -> (Vec<bool>, BTreeMap<ChunkKey, Vec<usize>>) {
        let mut found = vec![false; queries.len()];
        let mut suspects: BTreeMap<ChunkKey, Vec<usize>> = BTreeMap::new();
        for (index, query) in queries.iter().enumerate() {
            for number in windows_of(query, length) {
                match self.windows.get(&number).map(|window| window.lookup(query.id)) {
                    Some(IdLookup::Seen) => found[index] = true,
                    Some(IdLookup::MaybeIn(chunks)) => chunks
                        .into_iter()
                        .for_each(|chunk| suspects.entry((number, chunk)).or_default().push(index)),
                    None => {}
                }
            }
        }
        (found, suspects)
    }

    /// Drops the oldest windows beyond [`WINDOWS_CACHED_MAX`].
    pub(super) fn forget_old(&mut self) {
        while self.windows.len() > WINDOWS_CACHED_MAX {
            self.windows.pop_first();
        }
    }
}

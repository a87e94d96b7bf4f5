//! Remembered ids as one process knows them, for one partition. What is known is good for one generation: a server that lost some
//! of it begins another one with its next write. Nothing here asks anybody.

pub(super) mod window;

use self::window::{IdLookup, CachedWindow, ids_of, stored_id};
use bytes::Bytes;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::SeenQuery;
use std::collections::BTreeMap;

/// How many windows of a partition are known at a time: the current one and the one before, and one that begins.
const WINDOWS_CACHED_MAX: usize = 3;

/// What a process knows of the ids of one partition.
#[derive(Default)]
pub(super) struct SeenIdCache {
    /// In which generation.
    generation: Bytes,
    pub(super) windows: BTreeMap<u32, CachedWindow>,
}

/// A chunk of a window.
type ChunkKey = (u32, usize);

/// The number of the window of a moment.
pub(super) fn window_of(at: Timestamp, length: TimeDelta) -> u32 {
    u32::try_from((at.millis() / length.millis().max(1)).max(0)).unwrap_or(u32::MAX)
}

/// The windows in which a query's id may be: its own and the one before.
pub(super) fn windows_of(query: &SeenQuery, length: TimeDelta) -> impl Iterator<Item = u32> + use<> {
    let window = window_of(query.arrived_at, length);
    [Some(window), window.checked_sub(1)].into_iter().flatten()
}

/// Ids as they are added to their windows.
pub(super) fn additions(seen: &[SeenQuery], length: TimeDelta) -> BTreeMap<u32, Vec<u8>> {
    let mut additions: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for query in seen {
        let ids = additions.entry(window_of(query.arrived_at, length)).or_default();
        ids.extend_from_slice(&stored_id(query.id));
    }
    additions
}

impl SeenIdCache {
    /// Forgets what is of another generation.
    pub(super) fn set_generation(&mut self, generation: Bytes) {
        if self.generation != generation {
            *self = Self { generation, windows: BTreeMap::new() };
        }
    }

    /// Takes ids that were added, after which the window has `bytes`; if others were added before them, they are read later.
    pub(super) fn added(&mut self, window: u32, ids: &[u8], bytes: usize) {
        if let Some(known) = self.windows.get_mut(&window)
            && known.bytes() + ids.len() == bytes
        {
            known.extend(ids_of(ids));
        }
    }

    /// Which of `queries` are known to be remembered, and in which chunks the others may be.
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

    /// Forgets the oldest windows above [`WINDOWS_CACHED_MAX`].
    pub(super) fn forget_old(&mut self) {
        while self.windows.len() > WINDOWS_CACHED_MAX {
            self.windows.pop_first();
        }
    }
}

//! Cache of the remembered ids of one partition. It is valid for one generation: a server that lost ids begins another one with its
//! next write. This module does no I/O.

use bytes::Bytes;
use portrait_profile::TimeDelta;
use portrait_store::SeenQuery;
use portrait_store::backend::cached_ids::{CachedIds, IdLookup, ids_of, stored_id};
use portrait_store::backend::seen_sets::{RecentDays, SeenSet};
use std::collections::BTreeMap;

/// Number of cached windows of a partition: the current one, the one before, and one that begins.
const WINDOWS_CACHED_MAX: usize = 3;

/// Cached ids of one partition.
#[derive(Default)]
pub(super) struct SeenIdCache {
    /// Generation that the sets belong to.
    generation: Bytes,
    pub(super) sets: BTreeMap<SeenSet, CachedIds>,
    recent_days: RecentDays,
}

/// Set, and number of a chunk in it.
type ChunkKey = (SeenSet, usize);

/// Returns the encoded ids by the set that they are added to.
pub(super) fn additions(seen: &[SeenQuery], length: TimeDelta) -> BTreeMap<SeenSet, Vec<u8>> {
    let mut additions: BTreeMap<SeenSet, Vec<u8>> = BTreeMap::new();
    for query in seen {
        for set in SeenSet::of_addition(query, length) {
            // In the order of the commit, so that the cache can append the same bytes as the server.
            additions.entry(set).or_default().extend_from_slice(&stored_id(query.id));
        }
    }
    additions
}

impl SeenIdCache {
    /// Drops the sets of another generation.
    pub(super) fn set_generation(&mut self, generation: Bytes) {
        // Lost ids may have been replaced by others at the same place of the string, so nothing of an old generation is reused.
        if self.generation != generation {
            *self = Self { generation, ..Self::default() };
        }
    }

    /// Adds ids that a commit appended, after which the set has `bytes` bytes on the server.
    pub(super) fn added(&mut self, set: SeenSet, ids: &[u8], bytes: usize) {
        // Another process may have appended before; then the sizes differ and the next lookup reads the missing ids.
        if let Some(known) = self.sets.get_mut(&set)
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
            for set in SeenSet::of_lookup(query, length) {
                match self.sets.get(&set).map(|known| known.lookup(query.id)) {
                    Some(IdLookup::Seen) => found[index] = true,
                    Some(IdLookup::MaybeIn(chunks)) => chunks
                        .into_iter()
                        .for_each(|chunk| suspects.entry((set, chunk)).or_default().push(index)),
                    None => {}
                }
            }
        }
        (found, suspects)
    }

    /// Drops the oldest windows beyond [`WINDOWS_CACHED_MAX`], and the days of sources that were used least recently. `used` are the
    /// sets of the newest lookup.
    pub(super) fn forget_old(&mut self, used: impl IntoIterator<Item = SeenSet>) {
        let mut windows = 0;
        for set in used {
            if let SeenSet::Ledger(day) = set {
                self.recent_days.used(day);
            }
        }
        for day in self.recent_days.take_old() {
            self.sets.remove(&SeenSet::Ledger(day));
        }
        // From the newest to the oldest.
        let old = self.sets.keys().rev().filter(|set| {
            windows += usize::from(matches!(set, SeenSet::Window(_)));
            matches!(set, SeenSet::Window(_)) && windows > WINDOWS_CACHED_MAX
        });
        for set in old.copied().collect::<Vec<_>>() {
            self.sets.remove(&set);
        }
    }
}

//! Remembered ids of one partition. They are stored on disk; the windows that queries read are also cached in memory, exactly
//! while they are small and as a filter when they are large, so that the common answer "never seen" needs no disk access.

use super::id_filter::IdFilter;
use super::keys;
use fjall::Keyspace;
use portrait_profile::{PartitionId, TimeDelta};
use portrait_store::SeenQuery;
use portrait_store::backend::id_set::IdSet;
use portrait_store::backend::seen_sets::window_of;
use std::collections::BTreeMap;

/// Number of cached windows: the current one, the one before, and one that begins. With two, a record of the old window among those
/// of the new one made every query read a whole window from disk.
const WINDOWS_IN_MEMORY: usize = 3;

/// Memory of the cached windows of one partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenMemory {
    /// Largest window, in ids, that is cached exactly, at 9 to 18 bytes an id.
    pub(super) exact_ids: usize,
    /// Size in bytes of the filter of a larger window.
    pub(super) filter_bytes: usize,
}

/// Cache of the remembered ids of one partition.
pub(super) struct SeenWindows {
    partition: PartitionId,
    window_length: TimeDelta,
    memory: SeenMemory,
    windows: BTreeMap<u32, SeenWindow>,
}

/// Window of remembered ids in the cache.
enum SeenWindow {
    /// All ids of the window.
    Exact(IdSet),
    /// Filter of all ids of the window. An id that it reports is looked up on disk.
    Filter(IdFilter),
}

impl SeenWindows {
    /// Returns an empty cache.
    pub(super) fn new(partition: PartitionId, window_length: TimeDelta, memory: SeenMemory) -> Self {
        Self { partition, window_length, memory, windows: BTreeMap::new() }
    }

    /// Returns whether an id is remembered in the query's window or the one before.
    pub(super) fn has(&mut self, keyspace: &Keyspace, query: &SeenQuery) -> fjall::Result<bool> {
        let window = window_of(query.arrived_at, self.window_length);
        if self.window_has(keyspace, window, query)? {
            return Ok(true);
        }
        match window.checked_sub(1) {
            Some(before) => self.window_has(keyspace, before, query),
            None => Ok(false),
        }
    }

    /// Adds committed ids to the cached windows.
    pub(super) fn committed(&mut self, queries: &[SeenQuery]) {
        for query in queries {
            let number = window_of(query.arrived_at, self.window_length);
            // A window that is not cached is read from disk by the first query.
            let Some(window) = self.windows.get_mut(&number) else { continue };
            window.insert(query.id.get(), self.memory);
        }
    }

    fn window_has(&mut self, keyspace: &Keyspace, number: u32, query: &SeenQuery) -> fjall::Result<bool> {
        if !self.windows.contains_key(&number) {
            let window = self.read(keyspace, number)?;
            self.windows.insert(number, window);
            while self.windows.len() > WINDOWS_IN_MEMORY {
                // The oldest window is read least; if a query needs it again, it is read from disk again.
                let oldest = self.windows.keys().find(|known| **known != number).copied();
                oldest.map(|oldest| self.windows.remove(&oldest));
            }
        }
        match self.windows.get(&number) {
            Some(SeenWindow::Exact(ids)) => Ok(ids.contains(&query.id.get())),
            Some(SeenWindow::Filter(ids)) if !ids.may_contain(query.id.get()) => Ok(false),
            _ => keyspace.contains_key(keys::seen(self.partition, number, query)),
        }
    }

    /// Reads a window from disk: once after an open, at about a third of a microsecond an id.
    fn read(&self, keyspace: &Keyspace, number: u32) -> fjall::Result<SeenWindow> {
        let mut window = SeenWindow::Exact(IdSet::default());
        for entry in keyspace.prefix(keys::seen_window(self.partition, number)) {
            if let Some((_, id)) = keys::seen_of(&entry.key()?) {
                window.insert(id, self.memory);
            }
        }
        Ok(window)
    }
}

impl SeenWindow {
    fn insert(&mut self, id: u64, memory: SeenMemory) {
        match self {
            Self::Exact(ids) => {
                ids.insert(id);
                if ids.len() > memory.exact_ids {
                    let mut filter = IdFilter::new(memory.filter_bytes);
                    ids.iter().for_each(|id| filter.insert(*id));
                    *self = Self::Filter(filter);
                }
            }
            Self::Filter(ids) => ids.insert(id),
        }
    }
}

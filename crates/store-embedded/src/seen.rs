//! Remembered ids of one partition. They are stored on disk; the two windows that queries read are also cached in memory while
//! they are small, so that the common answer "never seen" needs no disk access.

use super::keys;
use fjall::Keyspace;
use portrait_profile::{PartitionId, TimeDelta};
use portrait_store::SeenQuery;
use portrait_store::backend::id_set::IdSet;
use std::collections::BTreeMap;

/// Largest window, in ids, that is cached, at 9 to 18 bytes an id; a larger one is read from disk.
const IDS_IN_MEMORY: usize = 200_000;
/// Number of cached windows: the current one and the one before.
const WINDOWS_IN_MEMORY: usize = 2;

/// Cache of the remembered ids of one partition.
pub(super) struct SeenWindows {
    partition: PartitionId,
    window_length: TimeDelta,
    windows: BTreeMap<u32, SeenWindow>,
}

/// Window of remembered ids in the cache.
enum SeenWindow {
    /// All ids of the window.
    InMemory(IdSet),
    /// Marker of a window that is too large for the cache.
    OnDisk,
}

impl SeenWindows {
    /// Returns an empty cache.
    pub(super) fn new(partition: PartitionId, window_length: TimeDelta) -> Self {
        Self { partition, window_length, windows: BTreeMap::new() }
    }

    /// Returns whether an id is remembered in the query's window or the one before.
    pub(super) fn has(&mut self, keyspace: &Keyspace, query: &SeenQuery) -> fjall::Result<bool> {
        let window = keys::window(query.arrived_at, self.window_length);
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
            let number = keys::window(query.arrived_at, self.window_length);
            // A window that is not cached is read from disk by the first query.
            let Some(window) = self.windows.get_mut(&number) else { continue };
            if let SeenWindow::InMemory(ids) = window {
                ids.insert(query.id.get());
                if ids.len() > IDS_IN_MEMORY {
                    *window = SeenWindow::OnDisk;
                }
            }
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
            Some(SeenWindow::InMemory(ids)) => Ok(ids.contains(&query.id.get())),
            _ => keyspace.contains_key(keys::seen(self.partition, number, query)),
        }
    }

    fn read(&self, keyspace: &Keyspace, number: u32) -> fjall::Result<SeenWindow> {
        let mut ids = IdSet::default();
        for entry in keyspace.prefix(keys::seen_window(self.partition, number)) {
            if let Some((_, id)) = keys::seen_of(&entry.key()?) {
                ids.insert(id);
            }
            if ids.len() > IDS_IN_MEMORY {
                // The ids read so far are dropped: half a window would answer "never seen" wrongly.
                return Ok(SeenWindow::OnDisk);
            }
        }
        Ok(SeenWindow::InMemory(ids))
    }
}

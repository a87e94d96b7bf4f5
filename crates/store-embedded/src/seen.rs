//! The remembered ids of one partition. Their truth lies on disk; the two windows that are asked about are also held in
//! memory while they are small, so that the common answer "never seen" costs no search.

use super::keys;
use fjall::Keyspace;
use portrait_profile::{PartitionId, TimeDelta};
use portrait_store::SeenQuery;
use portrait_store::backend::id_set::IdSet;
use std::collections::BTreeMap;

/// How many ids of one window of one partition are held in memory, at 9 to 18 bytes each; above that the disk is asked.
const IDS_IN_MEMORY: usize = 200_000;
/// How many windows are held in memory: the current one and the one before.
const WINDOWS_IN_MEMORY: usize = 2;

/// What is in memory of the remembered ids of one partition.
pub(super) struct SeenWindows {
    partition: PartitionId,
    window_length: TimeDelta,
    windows: BTreeMap<u32, SeenWindow>,
}

/// One window in memory.
enum SeenWindow {
    /// All its ids.
    InMemory(IdSet),
    /// It has more than are held.
    OnDisk,
}

impl SeenWindows {
    /// Nothing in memory yet.
    pub(super) fn new(partition: PartitionId, window_length: TimeDelta) -> Self {
        Self { partition, window_length, windows: BTreeMap::new() }
    }

    /// Whether an id is remembered, in the query's window or the one before.
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

    /// Takes ids that were just committed.
    pub(super) fn committed(&mut self, queries: &[SeenQuery]) {
        for query in queries {
            let number = keys::window(query.arrived_at, self.window_length);
            // A window that nobody asked about is read from disk when somebody does.
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
                // Old windows are asked about less; one that is asked about again is read again.
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
                return Ok(SeenWindow::OnDisk);
            }
        }
        Ok(SeenWindow::InMemory(ids))
    }
}

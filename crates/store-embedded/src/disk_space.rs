//! Free disk space, and what is refused when it is short. A database that runs out of disk in the middle of a write cannot continue, so
//! that writes are refused before:
//!
//! | free space | accepted |
//! |---|---|
//! | above the reserve | everything |
//! | above the floor, an eighth of the reserve | commits and trims, which apply what was accepted and make space |
//! | below the floor | leases, which are in memory alone; reads |
//!
//! A store that is opened with less space than its journals may need is read-only until it is opened again.

use portrait_store::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Age up to which the last measurement of free space counts.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Share of the reserve below which nothing is written.
const FLOOR_DIVISOR: u64 = 8;

/// Function that returns the free bytes at a path; a test passes one that simulates a full disk.
pub type FreeBytes = Arc<dyn Fn(&Path) -> std::io::Result<u64> + Send + Sync>;

/// Free space of one file system, with the reserve.
#[derive(Clone)]
pub(super) struct DiskSpace {
    path: PathBuf,
    reserve_bytes: u64,
    free_bytes: FreeBytes,
    checked_at: Option<(Instant, u64)>,
    /// Free bytes from which a read-only store can be opened for writes; `None` if it is open for writes.
    read_only_below: Option<u64>,
}

/// Returns the function that reads free space from the file system, as available to this process.
pub(super) fn of_file_system() -> FreeBytes {
    Arc::new(|path| {
        let status = rustix::fs::statvfs(path)?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    })
}

impl DiskSpace {
    /// Returns the check for the file system of `path`.
    pub(super) fn new(path: PathBuf, reserve_bytes: u64, free_bytes: FreeBytes) -> Self {
        Self { path, reserve_bytes, free_bytes, checked_at: None, read_only_below: None }
    }

    /// Makes the store read-only if the space is short for the journals in `data`, which an open may flush to tables at once. A failed
    /// flush would end the process, and the next one too.
    pub(super) fn limit_to_reads(&mut self, data: &Path) -> Result<()> {
        let needed = journal_bytes(data) + self.floor_bytes();
        if self.measure()? < needed {
            self.read_only_below = Some(needed);
        }
        Ok(())
    }

    /// Fails with [`Error::Full`] while no more than the reserve is free.
    pub(super) fn check(&mut self) -> Result<()> {
        self.check_writable(0)?;
        let free = self.free(self.reserve_bytes)?;
        if free > self.reserve_bytes {
            return Ok(());
        }
        let detail = format!(
            "{} has {} MiB free and {} MiB are reserved: free some space, or lower store.reserve",
            self.path.display(),
            free >> 20,
            self.reserve_bytes >> 20
        );
        Err(Error::Full { detail })
    }

    /// Fails with [`Error::Full`] if the store is read-only, or a write of `bytes` would leave less than the floor.
    pub(super) fn check_writable(&mut self, bytes: u64) -> Result<()> {
        if let Some(detail) = self.read_only() {
            return Err(Error::Full { detail });
        }
        let needed = self.floor_bytes() + bytes;
        let free = self.free(needed)?;
        self.admit(free, needed)
    }

    /// Fails with [`Error::Full`] if the store is read-only, or `bytes` more would leave less than the floor; measured now.
    pub(super) fn check_rewrite(&self, bytes: u64) -> Result<()> {
        match self.read_only() {
            Some(detail) => Err(Error::Full { detail }),
            None => self.admit(self.measure()?, self.floor_bytes() + bytes),
        }
    }

    fn admit(&self, free: u64, needed: u64) -> Result<()> {
        if free >= needed {
            return Ok(());
        }
        let detail = format!(
            "{} has {} MiB free and {} MiB are needed to write: reads go on; free some space",
            self.path.display(),
            free >> 20,
            needed.div_ceil(1 << 20)
        );
        Err(Error::Full { detail })
    }

    /// Returns why the store is read-only; `None` if it is open for writes.
    pub(super) fn read_only(&self) -> Option<String> {
        let needed = self.read_only_below?;
        Some(format!(
            "{} was opened for reads only, with less than {} MiB free: free some space, and writes go on",
            self.path.display(),
            needed.div_ceil(1 << 20)
        ))
    }

    /// Returns whether a read-only store could be opened for writes now.
    pub(super) fn has_room(&self) -> bool {
        let free = self.measure().unwrap_or_default();
        self.read_only_below.is_some_and(|needed| free >= needed)
    }

    /// Returns the problem and the remedy after a write failed with `error`.
    pub(super) fn after_failure(&self, error: &str) -> String {
        let path = self.path.display();
        let free = self.measure().unwrap_or_default();
        let state = format!("a write to the store in {path} failed ({error}), with {} MiB free", free >> 20);
        if free <= self.reserve_bytes {
            format!("{state}: free some space; until then a restart serves reads only")
        } else {
            format!("{state}: check the disk and restart; everything that was acknowledged is kept")
        }
    }

    /// Returns the free bytes before the reserve.
    pub(super) fn left_bytes(&self) -> Result<u64> {
        Ok(self.measure()?.saturating_sub(self.reserve_bytes))
    }

    /// Returns the free bytes, measured a moment ago if more than `needed` were free then.
    #[expect(clippy::disallowed_methods, reason = "the writer is a thread of its own, in real time")]
    fn free(&mut self, needed: u64) -> Result<u64> {
        match self.checked_at {
            // While space is short it is measured each time, so that writes resume as soon as there is enough.
            Some((at, free)) if at.elapsed() < CHECK_INTERVAL && free > needed => Ok(free),
            _ => {
                let free = self.measure()?;
                self.checked_at = Some((Instant::now(), free));
                Ok(free)
            }
        }
    }

    fn floor_bytes(&self) -> u64 {
        self.reserve_bytes / FLOOR_DIVISOR
    }

    fn measure(&self) -> Result<u64> {
        (self.free_bytes)(&self.path).map_err(Error::unavailable)
    }
}

/// Returns the size of the journals on disk; 0 for a store that does not exist yet.
fn journal_bytes(data: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;

    let Ok(entries) = std::fs::read_dir(data) else { return 0 };
    let journals = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let is_journal = entry.path().extension().is_some_and(|extension| extension == "jnl");
        // Blocks of 512 bytes, and not the length: a journal is created with a length that it has yet to fill.
        is_journal.then(|| entry.metadata().map_or(0, |metadata| metadata.blocks() * 512))
    });
    journals.sum()
}

//! Check of free disk space. Appends are refused while no more than a reserve is free, because a database that runs out of disk
//! in the middle of a write cannot continue.

use portrait_store::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Age up to which the last measurement of free space counts.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Function that returns the free bytes at a path; a test passes one that simulates a full disk.
pub type FreeBytes = Arc<dyn Fn(&Path) -> std::io::Result<u64> + Send + Sync>;

/// Free space of one file system, with the reserve.
#[derive(Clone)]
pub(super) struct DiskSpace {
    path: PathBuf,
    reserve_bytes: u64,
    free_bytes: FreeBytes,
    checked_at: Option<(Instant, u64)>,
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
        Self { path, reserve_bytes, free_bytes, checked_at: None }
    }

    /// Fails with [`Error::Full`] while no more than the reserve is free.
    #[expect(clippy::disallowed_methods, reason = "the writer is a thread of its own, in real time")]
    pub(super) fn check(&mut self) -> Result<()> {
        let free = match self.checked_at {
            // While space is short it is measured each time, so that appends resume as soon as there is enough.
            Some((at, free)) if at.elapsed() < CHECK_INTERVAL && free > self.reserve_bytes => free,
            _ => {
                let free = self.measure()?;
                self.checked_at = Some((Instant::now(), free));
                free
            }
        };
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

    /// Returns the free bytes before the reserve.
    pub(super) fn left_bytes(&self) -> Result<u64> {
        Ok(self.measure()?.saturating_sub(self.reserve_bytes))
    }

    fn measure(&self) -> Result<u64> {
        (self.free_bytes)(&self.path).map_err(Error::unavailable)
    }
}

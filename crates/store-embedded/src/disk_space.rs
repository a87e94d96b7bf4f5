//! How much room the disk has. In comes a reserve that stays free; out goes whether there is more. Events are refused before
//! the disk is full, because a database that meets the end of the disk in the middle of a write cannot go on.

use portrait_store::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How old an answer of the file system may be.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Free bytes at a path; passed in, so that a test can fill the disk.
pub type FreeBytes = Arc<dyn Fn(&Path) -> std::io::Result<u64> + Send + Sync>;

/// Watches over the reserve.
pub(super) struct DiskSpace {
    path: PathBuf,
    reserve_bytes: u64,
    free_bytes: FreeBytes,
    checked_at: Option<(Instant, u64)>,
}

/// What the file system says is free for this process.
pub(super) fn of_file_system() -> FreeBytes {
    Arc::new(|path| {
        let status = rustix::fs::statvfs(path)?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    })
}

impl DiskSpace {
    /// Watches the file system of `path`.
    pub(super) fn new(path: PathBuf, reserve_bytes: u64, free_bytes: FreeBytes) -> Self {
        Self { path, reserve_bytes, free_bytes, checked_at: None }
    }

    /// Fails with [`Error::Full`] while there is no more than the reserve.
    #[expect(clippy::disallowed_methods, reason = "the writer is a thread of its own, in real time")]
    pub(super) fn check(&mut self) -> Result<()> {
        let free = match self.checked_at {
            // Little room is looked at anew each time, so that nothing is refused longer than need be.
            Some((at, free)) if at.elapsed() < CHECK_INTERVAL && free > self.reserve_bytes => free,
            _ => {
                let free = (self.free_bytes)(&self.path).map_err(Error::unavailable)?;
                self.checked_at = Some((Instant::now(), free));
                free
            }
        };
        if free > self.reserve_bytes {
            return Ok(());
        }
        let detail = format!(
            "{} has {} MiB free and {} MiB are kept in reserve: make room, or lower store.reserve",
            self.path.display(),
            free >> 20,
            self.reserve_bytes >> 20
        );
        Err(Error::Full { detail })
    }
}

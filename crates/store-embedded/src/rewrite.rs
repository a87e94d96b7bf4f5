//! Rewrite of the database's files, so that they hold no deleted data. A deletion in fjall is one more entry: the deleted entry
//! stays in tables until they are merged, and in journals until those are full and flushed to tables. So a rewrite fills the
//! journal, flushes everything and merges all tables. Reads and writes go on meanwhile.

use super::keys::Keyspaces;
use super::read::blocking;
use super::store::Embedded;
use fjall::Keyspace;
use portrait_store::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes written to end a journal: fjall ends it with the first flush beyond 64 million bytes, which is not configurable.
const JOURNAL_BYTES: usize = 66 << 20;
/// Size of one write that fills a journal.
const FILLER_BYTES: usize = 1 << 20;
/// Longest wait for old journals to disappear after the flush, and for old tables after a merge.
const REWRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two checks of the directory.
const PAUSE: Duration = Duration::from_millis(20);
/// Attempts to merge a keyspace whose old tables remain.
const MERGES: u32 = 3;

impl Embedded {
    /// Rewrites all files of the database.
    pub(super) async fn rewrite(&self) -> Result<()> {
        // A filled journal, and the new tables of the largest keyspace beside its old ones.
        let tables = self.keyspaces.all().iter().map(|keyspace| keyspace.disk_space()).max();
        self.space.check_rewrite(JOURNAL_BYTES as u64 + tables.unwrap_or_default())?;
        let keyspaces = Arc::clone(&self.keyspaces);
        let data = self.data.clone();
        self.rewrites.run(blocking(move || rewrite(&keyspaces, &data))).await
    }
}

#[expect(clippy::disallowed_methods, reason = "a blocking thread waits for the disk in real time")]
fn rewrite(keyspaces: &Keyspaces, data: &Path) -> Result<()> {
    let deadline = Instant::now() + REWRITE_TIMEOUT;
    let journals = || files(data, |path| path.extension().is_some_and(|extension| extension == "jnl"));
    let old = journals().map_err(Error::unavailable)?;
    fill_journal(keyspaces).map_err(Error::unavailable)?;
    // The first flush ends the journal. Entries written to a keyspace between its flush and that end need another flush.
    loop {
        for keyspace in keyspaces.all() {
            keyspace.rotate_memtable_and_wait().map_err(Error::unavailable)?;
        }
        if old.is_disjoint(&journals().map_err(Error::unavailable)?) {
            break;
        }
        if Instant::now() > deadline {
            return Err(files_in_use());
        }
        std::thread::sleep(PAUSE);
    }
    for keyspace in keyspaces.all() {
        merge(keyspace, &keyspaces.filler)?;
    }
    Ok(())
}

/// Merges all tables of a keyspace until none of the old ones remains.
#[expect(clippy::disallowed_methods, reason = "a blocking thread waits for the disk in real time")]
fn merge(keyspace: &Keyspace, filler: &Keyspace) -> Result<()> {
    let tables = || files(&keyspace.path().join("tables"), |_| true).map_err(Error::unavailable);
    let old = tables()?;
    // While fjall runs a merge of its own, `major_compact` does nothing and returns success: only the files tell.
    for _ in 0..MERGES {
        keyspace.major_compact().map_err(Error::unavailable)?;
        let deadline = Instant::now() + REWRITE_TIMEOUT;
        while Instant::now() < deadline {
            // A merged table is removed at the next flush after its last reader has finished.
            fill(filler, 0, vec![0]).map_err(Error::unavailable)?;
            filler.rotate_memtable_and_wait().map_err(Error::unavailable)?;
            if old.is_disjoint(&tables()?) {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
    }
    Err(files_in_use())
}

fn files_in_use() -> Error {
    tracing::warn!("store files are in use and cannot be rewritten");
    Error::Unavailable(None)
}

/// Writes scratch data until the journal is full.
fn fill_journal(keyspaces: &Keyspaces) -> fjall::Result<()> {
    for number in 0..(JOURNAL_BYTES / FILLER_BYTES) as u32 {
        // Random bytes, since the journal is compressed.
        let filler: Vec<u8> = std::iter::repeat_with(rand::random::<u64>)
            .take(FILLER_BYTES / 8)
            .flat_map(u64::to_le_bytes)
            .collect();
        fill(&keyspaces.filler, number, filler)?;
    }
    Ok(())
}

/// Writes one scratch entry and removes it.
fn fill(filler: &Keyspace, number: u32, bytes: Vec<u8>) -> fjall::Result<()> {
    filler.insert(number.to_be_bytes(), bytes)?;
    filler.remove(number.to_be_bytes())
}

/// Returns the files of a folder that match `wanted`.
fn files(folder: &Path, wanted: impl Fn(&Path) -> bool) -> std::io::Result<BTreeSet<PathBuf>> {
    let paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    paths.filter(|path| path.as_ref().map_or(true, |path| wanted(path))).collect()
}

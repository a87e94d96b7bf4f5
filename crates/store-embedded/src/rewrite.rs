//! Writing the files of the database anew, so that nothing deleted is left in them. A deletion in fjall is one more entry: what it
//! deletes stays in tables until they are merged, and in journals until those are full and everything in them is in tables.
//! So the journal is filled, everything is flushed, and all tables are merged; others read and write meanwhile.

use super::keys::Keyspaces;
use super::read::blocking;
use super::store::Embedded;
use fjall::Keyspace;
use portrait_store::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A journal ends with the first flush after it has that many bytes, which fjall fixes at 64 million.
const JOURNAL_BYTES: usize = 66 << 20;
/// What is written at once to fill one.
const FILLER_BYTES: usize = 1 << 20;
/// How long journals may take to go after everything in them is in tables, and tables after they were merged.
const REWRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// How often tables are merged that are still there.
const MERGES: u32 = 3;

impl Embedded {
    /// Writes all files anew.
    pub(super) async fn rewrite(&self) -> Result<()> {
        let (keyspaces, data) = (Arc::clone(&self.keyspaces), self.data.clone());
        self.rewrites.run(blocking(move || rewrite(&keyspaces, &data))).await
    }
}

#[expect(clippy::disallowed_methods, reason = "a blocking thread waits for the disk in real time")]
fn rewrite(keyspaces: &Keyspaces, data: &Path) -> Result<()> {
    let deadline = Instant::now() + REWRITE_TIMEOUT;
    let journals = || files(data, |path| path.extension().is_some_and(|extension| extension == "jnl"));
    let old = journals().map_err(Error::unavailable)?;
    fill_journal(keyspaces).map_err(Error::unavailable)?;
    // The first flush ends the journal. What was written to a keyspace between its flush and that end needs another one.
    loop {
        for keyspace in keyspaces.all() {
            keyspace.rotate_memtable_and_wait().map_err(Error::unavailable)?;
        }
        if old.is_disjoint(&journals().map_err(Error::unavailable)?) {
            break;
        }
        if Instant::now() > deadline {
            return Err(still_needed());
        }
        std::thread::sleep(PAUSE);
    }
    for keyspace in keyspaces.all() {
        merge(keyspace, &keyspaces.filler)?;
    }
    Ok(())
}

/// Merges all tables of a keyspace, until none of before is there.
#[expect(clippy::disallowed_methods, reason = "a blocking thread waits for the disk in real time")]
fn merge(keyspace: &Keyspace, filler: &Keyspace) -> Result<()> {
    let tables = || files(&keyspace.path().join("tables"), |_| true).map_err(Error::unavailable);
    let old = tables()?;
    // While fjall merges something itself it does nothing, and does not say so: that is seen by what is there.
    for _ in 0..MERGES {
        keyspace.major_compact().map_err(Error::unavailable)?;
        let deadline = Instant::now() + REWRITE_TIMEOUT;
        while Instant::now() < deadline {
            // Tables go when something is flushed after they were merged, and nobody reads them any more.
            fill(filler, 0, vec![0]).map_err(Error::unavailable)?;
            filler.rotate_memtable_and_wait().map_err(Error::unavailable)?;
            if old.is_disjoint(&tables()?) {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
    }
    Err(still_needed())
}

fn still_needed() -> Error {
    tracing::warn!("files of the store are still needed and cannot be written anew");
    Error::Unavailable(None)
}

/// Writes so much that means nothing that the journal is full.
fn fill_journal(keyspaces: &Keyspaces) -> fjall::Result<()> {
    for number in 0..(JOURNAL_BYTES / FILLER_BYTES) as u32 {
        // Random, since what can be compressed fills less.
        let filler: Vec<u8> = std::iter::repeat_with(rand::random::<u64>)
            .take(FILLER_BYTES / 8)
            .flat_map(u64::to_le_bytes)
            .collect();
        fill(&keyspaces.filler, number, filler)?;
    }
    Ok(())
}

/// Writes what means nothing, and takes it back.
fn fill(filler: &Keyspace, number: u32, bytes: Vec<u8>) -> fjall::Result<()> {
    filler.insert(number.to_be_bytes(), bytes)?;
    filler.remove(number.to_be_bytes())
}

/// The files of a folder that are `wanted`.
fn files(folder: &Path, wanted: impl Fn(&Path) -> bool) -> std::io::Result<BTreeSet<PathBuf>> {
    let paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    paths.filter(|path| path.as_ref().map_or(true, |path| wanted(path))).collect()
}

//! Writing the files of the database anew, so that nothing deleted is left in them. A deletion in fjall is one more entry: what it
//! deletes stays in tables until they are merged, and in journals until those are full and everything in them is in tables.
//! So the journal is filled, everything is flushed, and all tables are merged; others read and write meanwhile.

use super::Embedded;
use super::keys::Keyspaces;
use super::read::blocking;
use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A journal ends with the first flush after it has that many bytes, which fjall fixes at 64 million.
const JOURNAL_BYTES: usize = 66 << 20;
/// What is written at once to fill one.
const FILLER_BYTES: usize = 1 << 20;
/// How long journals may take to go after everything in them is in tables.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

impl Embedded {
    /// Writes all files anew.
    pub(super) async fn rewrite(&self) -> Result<()> {
        let (keyspaces, data) = (Arc::clone(&self.keyspaces), self.data.clone());
        self.rewrites.take(blocking(move || rewrite(&keyspaces, &data))).await
    }
}

fn rewrite(keyspaces: &Keyspaces, data: &Path) -> Result<()> {
    let old = journals(data).map_err(Error::unavailable)?;
    fill_journal(keyspaces).map_err(Error::unavailable)?;
    let began = Instant::now();
    // The first flush ends the journal. What was written to a keyspace between its flush and that end needs another one.
    loop {
        for keyspace in keyspaces.all() {
            keyspace.rotate_memtable_and_wait().map_err(Error::unavailable)?;
        }
        let left = journals(data).map_err(Error::unavailable)?;
        if old.is_disjoint(&left) {
            break;
        }
        if began.elapsed() > PATIENCE {
            tracing::warn!(?left, "journals of the store are still needed");
            return Err(Error::Unavailable(None));
        }
        std::thread::sleep(PAUSE);
    }
    for keyspace in keyspaces.all() {
        keyspace.major_compact().map_err(Error::unavailable)?;
    }
    Ok(())
}

/// Writes so much that means nothing that the journal is full.
fn fill_journal(keyspaces: &Keyspaces) -> fjall::Result<()> {
    for number in 0..(JOURNAL_BYTES / FILLER_BYTES) as u32 {
        // Random, since what can be compressed fills less.
        let filler: Vec<u8> = std::iter::repeat_with(rand::random::<u64>)
            .take(FILLER_BYTES / 8)
            .flat_map(u64::to_le_bytes)
            .collect();
        keyspaces.filler.insert(number.to_be_bytes(), filler)?;
        keyspaces.filler.remove(number.to_be_bytes())?;
    }
    Ok(())
}

/// The journals there are.
fn journals(data: &Path) -> std::io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(data)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            found.insert(path);
        }
    }
    Ok(found)
}

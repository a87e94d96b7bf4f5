//! Sorted runs on disk and their merge. Runs are files without a name in a folder that only its owner can enter, so that nothing of
//! them is left when the process ends, however it ends.

use super::super::error::ReadError;
use super::super::row::LogRow;
use super::packed::{Key, Packed, unpack};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{File, Permissions};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// Most runs of one merge: their files are open at the same time, and the usual limit of a process is 1,024.
const FAN_IN: usize = 64;
const BUFFER_BYTES: usize = 64 << 10;

/// Sorted runs on disk, in a temporary folder.
#[derive(Default)]
pub(super) struct Runs {
    folder: Option<TempDir>,
    runs: Vec<Run>,
}

struct Run {
    file: File,
    /// Number of merges that made the run: those of one level have about one size.
    level: u32,
}

/// Merge of runs, in the order of keys.
pub(super) struct Merge {
    heads: Heads,
    /// Removed with the merge.
    folder: Option<TempDir>,
}

/// Runs that are being read, and the next row of each.
struct Heads {
    runs: Vec<BufReader<File>>,
    rows: BinaryHeap<Reverse<Head>>,
}

/// Next row of a run. Ordered by key, and keys are unique.
struct Head {
    row: Packed,
    run: usize,
}

impl Runs {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Returns the temporary folder, once there is a run.
    #[cfg(test)]
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(TempDir::path)
    }

    /// Writes a run of rows that are in the order of their keys.
    ///
    /// # Errors
    /// [`ReadError::Sort`] if the folder has no space.
    pub(super) fn write<'a>(&mut self, rows: impl Iterator<Item = (Key, &'a [u8])>) -> Result<(), ReadError> {
        let written = self.file().and_then(|file| {
            let mut writer = BufWriter::with_capacity(BUFFER_BYTES, file);
            for (key, bytes) in rows {
                write_row(&mut writer, key, bytes)?;
            }
            finished(writer)
        });
        let file = written.map_err(|source| failed(self.folder.as_ref(), source))?;
        self.runs.push(Run { file, level: 0 });
        // Runs of one level are merged as soon as they are many, so that each row is written once a level.
        while let Some(level) = self.full_level() {
            self.merge_newest(level + 1)?;
        }
        Ok(())
    }

    /// Merges all runs into one sequence.
    ///
    /// # Errors
    /// [`ReadError::Sort`] if a run cannot be read.
    pub(super) fn merge(mut self) -> Result<Merge, ReadError> {
        while self.runs.len() > FAN_IN {
            self.merge_newest(0)?;
        }
        let heads = Heads::of(self.runs).map_err(|source| failed(self.folder.as_ref(), source))?;
        Ok(Merge { heads, folder: self.folder })
    }

    /// Returns the level of the newest runs, if there are [`FAN_IN`] of it.
    fn full_level(&self) -> Option<u32> {
        let newest = self.runs.last()?.level;
        let count = self.runs.iter().rev().take_while(|run| run.level == newest).count();
        (count >= FAN_IN).then_some(newest)
    }

    /// Replaces the newest runs by one of `level`.
    fn merge_newest(&mut self, level: u32) -> Result<(), ReadError> {
        let runs = self.runs.split_off(self.runs.len().saturating_sub(FAN_IN));
        let merged = Heads::of(runs).and_then(|mut heads| {
            let mut writer = BufWriter::with_capacity(BUFFER_BYTES, self.file()?);
            while let Some(Packed { key, bytes }) = heads.next()? {
                write_row(&mut writer, key, &bytes)?;
            }
            finished(writer)
        });
        let file = merged.map_err(|source| failed(self.folder.as_ref(), source))?;
        self.runs.push(Run { file, level });
        Ok(())
    }

    /// Creates a file for a run.
    fn file(&mut self) -> io::Result<File> {
        let folder = match &self.folder {
            Some(folder) => folder,
            None => {
                // Rows have ids of users, so only the owner may read them.
                let mode = Permissions::from_mode(0o700);
                let folder = tempfile::Builder::new().prefix("portrait-sort-").permissions(mode).tempdir()?;
                self.folder.insert(folder)
            }
        };
        tempfile::tempfile_in(folder)
    }
}

impl Merge {
    /// Returns the next row.
    ///
    /// # Errors
    /// [`ReadError::Sort`] if a run cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<LogRow>, ReadError> {
        let row = self.heads.next().and_then(|row| row.map(|row| unpack(&row.bytes)).transpose());
        row.map_err(|source| failed(self.folder.as_ref(), source))
    }
}

impl Heads {
    fn of(runs: Vec<Run>) -> io::Result<Self> {
        let readers = runs.into_iter().map(|mut run| {
            run.file.rewind()?;
            Ok(BufReader::with_capacity(BUFFER_BYTES, run.file))
        });
        let mut heads = Self { runs: readers.collect::<io::Result<_>>()?, rows: BinaryHeap::new() };
        for run in 0..heads.runs.len() {
            heads.read(run)?;
        }
        Ok(heads)
    }

    fn next(&mut self) -> io::Result<Option<Packed>> {
        let Some(Reverse(Head { row, run })) = self.rows.pop() else { return Ok(None) };
        self.read(run)?;
        Ok(Some(row))
    }

    /// Reads the next row of a run, if it has one.
    fn read(&mut self, run: usize) -> io::Result<()> {
        if let Some(row) = read_row(&mut self.runs[run])? {
            self.rows.push(Reverse(Head { row, run }));
        }
        Ok(())
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.row.key == other.row.key
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.row.key.cmp(&other.row.key)
    }
}

fn write_row(writer: &mut impl Write, key: Key, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    writer.write_all(&key.encode())?;
    writer.write_all(&length.to_le_bytes())?;
    writer.write_all(bytes)
}

fn read_row(reader: &mut impl Read) -> io::Result<Option<Packed>> {
    let mut key = [0; Key::BYTES];
    // A run ends between two rows; within a row its end is an error.
    if reader.read(&mut key[..1])? == 0 {
        return Ok(None);
    }
    reader.read_exact(&mut key[1..])?;
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    reader.read_exact(&mut bytes)?;
    Ok(Some(Packed { key: Key::decode(key), bytes }))
}

fn finished(writer: BufWriter<File>) -> io::Result<File> {
    writer.into_inner().map_err(io::IntoInnerError::into_error)
}

fn failed(folder: Option<&TempDir>, source: io::Error) -> ReadError {
    let folder = folder.map_or_else(std::env::temp_dir, |folder| Path::to_owned(folder.path()));
    ReadError::Sort { folder, source }
}

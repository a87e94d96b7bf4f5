//! Sorter of events: keeps what fits in memory, and writes sorted runs of the rest.

use super::super::error::ReadError;
use super::super::mapping::RepeatRule;
use super::super::row::{LogRow, RowBody};
use super::merge::{Merge, Runs};
use super::packed::{Key, pack, unpack};
use std::path::PathBuf;

/// Bounds of the memory of a sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortLimits {
    /// Most rows in memory. Default: 500,000.
    pub rows: usize,
    /// Most bytes of rows in memory. Default: 128 MiB; a row of a typical log takes 150.
    pub bytes: usize,
}

/// Sorter of events.
pub(super) struct Sorter {
    limits: SortLimits,
    /// Writes runs even if all rows are in order.
    keeps_ordered: bool,
    repeats: RepeatRule,
    is_ordered: bool,
    newest: Key,
    total: u64,
    block: PackedRows,
    runs: Runs,
}

/// Packed rows in memory.
#[derive(Default)]
struct PackedRows {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Key of a row and its range in the bytes.
#[derive(Clone, Copy)]
struct Entry {
    key: Key,
    begin: usize,
    end: usize,
}

/// Events in the order of time.
pub(super) enum SortedRows {
    Memory(MemoryRows),
    Disk(Merge),
}

/// Sorted rows that fit in memory.
pub(super) struct MemoryRows {
    block: PackedRows,
    next: usize,
}

impl Default for SortLimits {
    fn default() -> Self {
        Self { rows: 500_000, bytes: 128 << 20 }
    }
}

impl Sorter {
    pub(super) fn new(limits: SortLimits, keeps_ordered: bool, repeats: RepeatRule) -> Self {
        Self {
            limits,
            keeps_ordered,
            repeats,
            is_ordered: true,
            newest: Key::MIN,
            total: 0,
            block: PackedRows::default(),
            runs: Runs::default(),
        }
    }

    /// Keeps the event in row `number`.
    ///
    /// # Errors
    /// [`ReadError::Sort`] if a run cannot be written.
    pub(super) fn push(&mut self, row: &LogRow, number: u64) -> Result<(), ReadError> {
        let RowBody::Event(event) = &row.body else { return Ok(()) };
        if self.is_full() {
            self.write_run()?;
        }
        let key = Key::of(event, number, self.repeats);
        self.is_ordered &= key > self.newest;
        self.newest = key;
        self.total += 1;
        let begin = self.block.bytes.len();
        pack(row, event, &mut self.block.bytes);
        self.block.entries.push(Entry { key, begin, end: self.block.bytes.len() });
        Ok(())
    }

    /// Returns true if memory is full of rows that were in order, and need not be kept.
    pub(super) fn is_full_in_order(&self) -> bool {
        self.is_full() && self.is_ordered && !self.keeps_ordered
    }

    /// Returns the key of the newest row.
    pub(super) fn newest(&self) -> Key {
        self.newest
    }

    /// Sorts what was kept; returns the rows and their number.
    ///
    /// # Errors
    /// [`ReadError::Sort`] if the last run cannot be written, or no run can be read.
    pub(super) fn finish(mut self) -> Result<(SortedRows, u64), ReadError> {
        if self.runs.is_empty() {
            self.block.sort();
            return Ok((SortedRows::Memory(MemoryRows { block: self.block, next: 0 }), self.total));
        }
        self.write_run()?;
        Ok((SortedRows::Disk(self.runs.merge()?), self.total))
    }

    fn is_full(&self) -> bool {
        self.block.entries.len() >= self.limits.rows || self.block.bytes.len() >= self.limits.bytes
    }

    fn write_run(&mut self) -> Result<(), ReadError> {
        self.block.sort();
        self.runs.write(self.block.rows())?;
        self.block.bytes.clear();
        self.block.entries.clear();
        Ok(())
    }
}

impl PackedRows {
    fn sort(&mut self) {
        // Keys are unique, since they have the number of the row: an unstable sort keeps the order of the file.
        self.entries.sort_unstable_by_key(|entry| entry.key);
    }

    fn rows(&self) -> impl Iterator<Item = (Key, &[u8])> {
        self.entries.iter().map(|entry| (entry.key, &self.bytes[entry.begin..entry.end]))
    }
}

impl SortedRows {
    /// Returns the next row in the order of time.
    ///
    /// # Errors
    /// [`ReadError::Sort`] if a run cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<LogRow>, ReadError> {
        match self {
            Self::Memory(rows) => rows.next(),
            Self::Disk(merge) => merge.next(),
        }
    }
}

impl MemoryRows {
    fn next(&mut self) -> Result<Option<LogRow>, ReadError> {
        let Some(entry) = self.block.entries.get(self.next) else { return Ok(None) };
        self.next += 1;
        let row = unpack(&self.block.bytes[entry.begin..entry.end]);
        row.map(Some).map_err(|source| ReadError::Sort { folder: PathBuf::from("memory"), source })
    }
}

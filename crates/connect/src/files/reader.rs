//! Iterator over the rows of a file in the order of the file: events, items, and rejected rows. A row that cannot be read is rejected
//! and reading goes on; only what makes the rest unreadable is an error, and the last entry. Gzip is detected by its first bytes.
//! Memory is bounded by the longest row.

use super::bound::{BoundMapping, LogColumns};
use super::error::ReadError;
use super::input::{FileProgress, Input};
use super::mapping::{FileKind, Mapping};
use super::numbering::Numbering;
use super::row::{LogOptions, LogRow, RowBody};
use super::source::{RowSource, SourceRow};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Reader of a file.
pub struct LogReader {
    source: RowSource,
    options: LogOptions,
    /// Number of data rows read.
    rows: u64,
    /// None if rows are numbered later, in another order.
    numbering: Option<Numbering>,
    progress: FileProgress,
    /// Set at the end or after an error.
    is_finished: bool,
}

impl LogReader {
    /// Opens a file and finds the columns of the mapping.
    ///
    /// # Errors
    /// [`ReadError::Open`] if the file cannot be opened, [`ReadError::Columns`] if it has other columns.
    pub fn open(path: &Path, mapping: &Arc<Mapping>, options: LogOptions) -> Result<Self, ReadError> {
        Self::of_input(Input::open(path)?, path, mapping, options)
    }

    /// Opens a file whose rows are numbered by the caller.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn unnumbered(
        path: &Path,
        mapping: &Arc<Mapping>,
        options: LogOptions,
    ) -> Result<Self, ReadError> {
        Ok(Self { numbering: None, ..Self::open(path, mapping, options)? })
    }

    /// Reads from `file`, which yields `bytes_total` bytes; `path` is its name in messages, and its folder that of a joined table.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_reader(
        file: impl Read + Send + 'static,
        bytes_total: u64,
        path: &Path,
        mapping: &Arc<Mapping>,
        options: LogOptions,
    ) -> Result<Self, ReadError> {
        Self::of_input(Input::of(file, bytes_total, path)?, path, mapping, options)
    }

    fn of_input(
        Input { text, progress }: Input,
        path: &Path,
        mapping: &Arc<Mapping>,
        options: LogOptions,
    ) -> Result<Self, ReadError> {
        let source = RowSource::open(text, path, mapping)?;
        let numbering = Some(Numbering::of(mapping));
        Ok(Self { source, options, rows: 0, numbering, progress, is_finished: false })
    }

    /// Returns the number of bytes read so far, before decompression; of a form that is not read from its begin to its end, the
    /// share of the rows.
    pub fn bytes_read(&self) -> u64 {
        match self.source.progress() {
            Some((rows, total)) => {
                let share = rows as f64 / total.max(1) as f64;
                (self.bytes_total() as f64 * share) as u64
            }
            None => self.progress.bytes_read(),
        }
    }

    /// Returns the form of the file.
    pub(super) fn kind(&self) -> FileKind {
        self.source.kind()
    }

    /// Returns the size of the file in bytes.
    pub fn bytes_total(&self) -> u64 {
        self.progress.bytes_total()
    }

    /// Returns the number of rows read so far, rejected ones included.
    pub fn rows_read(&self) -> u64 {
        self.rows
    }

    /// Returns the columns of the file.
    pub fn columns(&self) -> LogColumns {
        LogColumns::new(Arc::clone(self.source.bound()))
    }

    /// Returns the mapping with the columns of the file.
    pub(super) fn bound(&self) -> &Arc<BoundMapping> {
        self.source.bound()
    }

    fn row(&mut self) -> Result<Option<LogRow>, ReadError> {
        let Some(SourceRow { line, mut body, has_own_id }) = self.source.next()? else { return Ok(None) };
        self.rows += 1;
        if let (RowBody::Event(event), Some(numbering)) = (&mut body, &mut self.numbering) {
            numbering.number(event, has_own_id);
        }
        let is_kept = self.options.keep_raw || matches!(body, RowBody::Rejected(_));
        let raw = is_kept.then(|| Box::from(&*self.source.raw()));
        Ok(Some(LogRow { line, body, raw, has_own_id }))
    }
}

impl Iterator for LogReader {
    type Item = Result<LogRow, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_finished {
            return None;
        }
        // After an error the position in the file is undefined, so nothing more is read.
        let row = self.row().transpose();
        self.is_finished = !matches!(row, Some(Ok(_)));
        row
    }
}

#[cfg(test)]
mod tests;

//! Rows of a log in the order of time, for files in any order: events of a user must arrive in the order in which they happened, and
//! many public logs are grouped by user or end before they begin. Events of the same time keep the order of the file.
//!
//! What fits in memory is sorted there. A larger file that is in order is read twice: once to know that, and once to deliver it. Any
//! other file is sorted in runs on disk. Memory is bounded in all cases.

mod merge;
mod packed;
mod sorter;

pub use sorter::SortLimits;

use super::bound::LogColumns;
use super::error::ReadError;
use super::mapping::Mapping;
use super::numbering::Numbering;
use super::reader::LogReader;
use super::row::{LogOptions, LogRow, RowBody};
use packed::Key;
use sorter::{SortedRows, Sorter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Number of rows between two reports of progress.
const PROGRESS_EVERY: u64 = 1000;

/// Pass over a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPass {
    /// Reads the file to learn or make the order of its rows; progress is in bytes of the file.
    Sort,
    /// Delivers the rows; progress is in rows after a sort, and in bytes of a file that is in order.
    Deliver,
}

/// Progress of a pass over a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogProgress {
    /// Current pass.
    pub pass: LogPass,
    /// Work done, in the unit of `total`.
    pub done: u64,
    /// Work of the whole pass.
    pub total: u64,
    /// Rows of this pass so far.
    pub rows: u64,
}

/// Iterator over the rows of a log file: rejected rows and items as they are met, events in the order of time. An error is the last
/// entry, and the events before it have been delivered.
pub struct SortedLog {
    path: PathBuf,
    mapping: Arc<Mapping>,
    options: LogOptions,
    limits: SortLimits,
    columns: LogColumns,
    numbering: Numbering,
    state: SortState,
    /// Rows of the current pass.
    rows: u64,
    /// Number of the newest row without an event that was delivered; a second pass over the file leaves out those up to it.
    delivered_through: u64,
    progress: Option<Box<dyn FnMut(LogProgress) + Send>>,
    /// Ends the reading once it is set.
    stop: Arc<AtomicBool>,
}

enum SortState {
    /// Keeps events until the end of the file.
    Collect {
        reader: Box<LogReader>,
        sorter: Box<Sorter>,
    },
    /// Keeps no events: those so far are in order and too many to keep.
    Check {
        reader: Box<LogReader>,
        newest: Key,
    },
    /// Delivers the rows of a file that is in order.
    Stream {
        reader: Box<LogReader>,
    },
    /// Delivers sorted events, and then the error that ended the file.
    Merge {
        rows: Box<SortedRows>,
        total: u64,
        error: Option<ReadError>,
    },
    Finished,
}

/// Result of one row of the file.
#[expect(clippy::large_enum_variant, reason = "nearly all of them are rows, and they are moved, not kept")]
enum SortStep {
    Deliver(LogRow),
    /// Row that is kept or left out.
    Next,
    /// Memory is full, and all rows so far are in order.
    Full,
    OutOfOrder,
    End(Option<ReadError>),
}

impl SortedLog {
    /// Opens a file and finds the columns of the mapping.
    ///
    /// # Errors
    /// [`ReadError::Open`] if the file cannot be opened, [`ReadError::Columns`] if it has other columns.
    pub fn open(path: &Path, mapping: &Arc<Mapping>, options: LogOptions) -> Result<Self, ReadError> {
        Self::with_limits(path, mapping, options, SortLimits::default())
    }

    /// Opens a file with other bounds of memory than the default.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn with_limits(
        path: &Path,
        mapping: &Arc<Mapping>,
        options: LogOptions,
        limits: SortLimits,
    ) -> Result<Self, ReadError> {
        let reader = Box::new(LogReader::unnumbered(path, mapping, options)?);
        Ok(Self {
            path: path.to_owned(),
            mapping: Arc::clone(mapping),
            options,
            limits,
            columns: reader.columns(),
            numbering: Numbering::of(mapping),
            // A pipe can be read once only, so its rows are kept even if they are in order.
            state: SortState::Collect {
                reader,
                sorter: Box::new(Sorter::new(limits, !path.is_file(), mapping.repeats())),
            },
            rows: 0,
            delivered_through: 0,
            progress: None,
            stop: Arc::default(),
        })
    }

    /// Reports progress to `progress` every thousand rows.
    #[must_use]
    pub fn with_progress(mut self, progress: impl FnMut(LogProgress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Ends the reading with [`ReadError::Stopped`] within a thousand rows after `stop` is set.
    #[must_use]
    pub fn with_stop(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = stop;
        self
    }

    /// Returns the columns of the file.
    pub fn columns(&self) -> LogColumns {
        self.columns.clone()
    }

    fn row(&mut self) -> Result<Option<LogRow>, ReadError> {
        loop {
            let step = self.step()?;
            self.rows += u64::from(matches!(step, SortStep::Deliver(_) | SortStep::Next | SortStep::Full));
            if self.rows.is_multiple_of(PROGRESS_EVERY) {
                self.report();
                if self.stop.load(Ordering::Relaxed) {
                    return Err(ReadError::Stopped);
                }
            }
            match step {
                SortStep::Deliver(mut row) => {
                    // Only here rows come in their final order.
                    if let RowBody::Event(event) = &mut row.body {
                        self.numbering.number(event, row.has_own_id);
                    }
                    return Ok(Some(row));
                }
                SortStep::Next => {}
                SortStep::Full => self.check(),
                SortStep::OutOfOrder => {
                    let sorter = Box::new(Sorter::new(self.limits, true, self.mapping.repeats()));
                    let reader = self.reopened()?;
                    self.state = SortState::Collect { reader, sorter };
                }
                SortStep::End(error) => {
                    if self.end(error)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn step(&mut self) -> Result<SortStep, ReadError> {
        let delivered_through = self.delivered_through;
        let (step, number) = match &mut self.state {
            SortState::Finished => (SortStep::End(None), 0),
            SortState::Collect { reader, sorter } => match next(reader) {
                Ok(row) if matches!(row.body, RowBody::Event(_)) => {
                    sorter.push(&row, reader.rows_read())?;
                    (if sorter.is_full_in_order() { SortStep::Full } else { SortStep::Next }, 0)
                }
                other => (of_other(other, reader.rows_read(), delivered_through), reader.rows_read()),
            },
            SortState::Check { reader, newest } => match next(reader) {
                Ok(LogRow { body: RowBody::Event(event), .. }) => {
                    let key = Key::of(&event, reader.rows_read(), self.mapping.repeats());
                    let is_in_order = key >= *newest;
                    *newest = key;
                    (if is_in_order { SortStep::Next } else { SortStep::OutOfOrder }, 0)
                }
                // The pass that delivers the events delivers these rows too.
                Ok(_) => (SortStep::Next, 0),
                Err(error) => (SortStep::End(error), 0),
            },
            SortState::Stream { reader } => match next(reader) {
                Ok(row) if matches!(row.body, RowBody::Event(_)) => (SortStep::Deliver(row), 0),
                other => (of_other(other, reader.rows_read(), delivered_through), reader.rows_read()),
            },
            SortState::Merge { rows, error, .. } => match rows.next()? {
                Some(row) => (SortStep::Deliver(row), 0),
                None => (SortStep::End(error.take()), 0),
            },
        };
        self.delivered_through = self.delivered_through.max(number);
        Ok(step)
    }

    /// Ends the current pass; returns true if it was the last one.
    fn end(&mut self, error: Option<ReadError>) -> Result<bool, ReadError> {
        match std::mem::replace(&mut self.state, SortState::Finished) {
            SortState::Collect { sorter, .. } => {
                let (rows, total) = sorter.finish()?;
                self.state = SortState::Merge { rows: Box::new(rows), total, error };
                self.rows = 0;
                Ok(false)
            }
            // The second reading meets the error again, after it has delivered the rows before it.
            SortState::Check { .. } => {
                self.state = SortState::Stream { reader: self.reopened()? };
                Ok(false)
            }
            SortState::Stream { .. } | SortState::Merge { .. } | SortState::Finished => {
                error.map_or(Ok(true), Err)
            }
        }
    }

    /// Gives up the rows in memory and goes on without keeping any.
    fn check(&mut self) {
        if let SortState::Collect { reader, sorter } = std::mem::replace(&mut self.state, SortState::Finished)
        {
            self.state = SortState::Check { reader, newest: sorter.newest() };
        }
    }

    fn reopened(&mut self) -> Result<Box<LogReader>, ReadError> {
        self.rows = 0;
        Ok(Box::new(LogReader::unnumbered(&self.path, &self.mapping, self.options)?))
    }

    fn report(&mut self) {
        let Some(progress) = &mut self.progress else { return };
        let (pass, done, total) = match &self.state {
            SortState::Collect { reader, .. } | SortState::Check { reader, .. } => {
                (LogPass::Sort, reader.bytes_read(), reader.bytes_total())
            }
            SortState::Stream { reader } => (LogPass::Deliver, reader.bytes_read(), reader.bytes_total()),
            SortState::Merge { total, .. } => (LogPass::Deliver, self.rows, *total),
            SortState::Finished => return,
        };
        progress(LogProgress { pass, done, total, rows: self.rows });
    }
}

impl Iterator for SortedLog {
    type Item = Result<LogRow, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.row();
        if row.is_err() {
            self.state = SortState::Finished;
        }
        row.transpose()
    }
}

/// Reads the next row; the error is none at the end of the file.
fn next(reader: &mut LogReader) -> Result<LogRow, Option<ReadError>> {
    match reader.next() {
        Some(Ok(row)) => Ok(row),
        Some(Err(error)) => Err(Some(error)),
        None => Err(None),
    }
}

/// SortStep of a row without an event, or of the end of the file.
fn of_other(row: Result<LogRow, Option<ReadError>>, number: u64, delivered_through: u64) -> SortStep {
    match row {
        Ok(row) if number > delivered_through => SortStep::Deliver(row),
        Ok(_) => SortStep::Next,
        Err(error) => SortStep::End(error),
    }
}

#[cfg(test)]
mod tests;

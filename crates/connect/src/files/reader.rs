//! Iterator over the rows of a log file in the order of the file: events, items, and rejected rows. A row that cannot be read is
//! rejected and reading goes on; only what makes the rest unreadable is an error, and the last entry. Gzip is detected by its first
//! bytes. Memory is bounded by the longest row.

use super::error::ReadError;
use super::format::{Format, LogColumns};
use super::input::{FileProgress, Input};
use super::line::{Lines, ROW_MAX_BYTES};
use super::objects::{ObjectText, Objects};
use super::order_lines::OrderLines;
use super::row::{EventId, LogOptions, LogRow, RowBody, RowDefect};
use super::rows::{self, RowFields};
use super::table::Table;
use std::io::Read;
use std::path::Path;
use xxhash_rust::xxh64::xxh64;

/// Separator of fields in the content that is hashed to an id (ASCII unit separator); no field contains it.
const FIELD_SEPARATOR: u8 = 0x1f;

/// Reader of a log file.
pub struct LogReader {
    source: Source,
    options: LogOptions,
    /// Number of data rows read.
    rows: u64,
    order_lines: OrderLines,
    /// Content of the newest row, from which its id is derived.
    content: Vec<u8>,
    progress: FileProgress,
    /// Set at the end or after an error.
    is_finished: bool,
}

enum Source {
    Table(Box<Table>),
    Objects { objects: Objects, object: ObjectText },
}

impl LogReader {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// [`ReadError::Open`] if the file cannot be opened, [`ReadError::Header`] if it has another format.
    pub fn open(path: &Path, format: Format, options: LogOptions) -> Result<Self, ReadError> {
        Self::of_input(Input::open(path)?, format, options)
    }

    /// Reads from `file`, which yields `bytes_total` bytes; `path` is its name in messages.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_reader(
        file: impl Read + Send + 'static,
        bytes_total: u64,
        path: &Path,
        format: Format,
        options: LogOptions,
    ) -> Result<Self, ReadError> {
        Self::of_input(Input::of(file, bytes_total, path)?, format, options)
    }

    fn of_input(
        Input { text, progress }: Input,
        format: Format,
        options: LogOptions,
    ) -> Result<Self, ReadError> {
        let source = match format.layouts().first() {
            Some(first) => Source::Table(Box::new(Table::open(Lines::new(text, 1), format, *first)?)),
            None => Source::Objects { objects: Objects::open(text)?, object: ObjectText::default() },
        };
        Ok(Self {
            source,
            options,
            rows: 0,
            order_lines: OrderLines::default(),
            content: Vec::new(),
            progress,
            is_finished: false,
        })
    }

    /// Returns the number of bytes read so far, before decompression.
    pub fn bytes_read(&self) -> u64 {
        self.progress.bytes_read()
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
        LogColumns(match &self.source {
            Source::Table(table) => Some(table.layout()),
            Source::Objects { .. } => None,
        })
    }

    fn row(&mut self) -> Result<Option<LogRow>, ReadError> {
        self.content.clear();
        let (line, body) = match &mut self.source {
            Source::Table(table) => {
                if !table.read()? {
                    return Ok(None);
                }
                let (line, layout) = (table.line(), table.layout());
                let body = table.split()?.and_then(|record| {
                    append_content(&mut self.content, record.fields());
                    rows::read(layout, &RowFields::new(record, layout.columns()))
                });
                (line, body)
            }
            Source::Objects { objects, object } => {
                if !objects.read(object)? {
                    return Ok(None);
                }
                self.content.extend_from_slice(&object.bytes);
                let body = if object.is_cut {
                    Err(RowDefect::too_long(ROW_MAX_BYTES))
                } else {
                    rows::json(object).map(RowBody::Event)
                };
                (object.line, body)
            }
        };
        self.rows += 1;
        let mut body = body.unwrap_or_else(RowBody::Rejected);
        if let RowBody::Event(event) = &mut body {
            // Objects may bring ids of their own; only rows without one get a derived id.
            if event.event_id.is_empty() {
                event.event_id = self.id();
            }
            // An object is an event as the API takes it: without a number its line is the first one.
            if matches!(self.source, Source::Table(_)) {
                self.order_lines.number(event);
            }
        }
        let is_kept = self.options.keep_raw || matches!(body, RowBody::Rejected(_));
        let raw = is_kept.then(|| match &self.source {
            Source::Table(table) => table.raw().into(),
            Source::Objects { object, .. } => object.bytes.as_slice().into(),
        });
        Ok(Some(LogRow { line, body, raw }))
    }

    /// Returns the event id of the newest row: XXH64 with seeds 0 and 1 as 32 hexadecimal digits, followed by the row number if
    /// equal rows are repeated actions.
    fn id(&self) -> String {
        let id = format!("{:016x}{:016x}", xxh64(&self.content, 0), xxh64(&self.content, 1));
        match self.options.event_id {
            EventId::Content => id,
            EventId::Row => format!("{id}-{}", self.rows),
        }
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

fn append_content<'a>(content: &mut Vec<u8>, fields: impl Iterator<Item = &'a [u8]>) {
    // The parsed fields are hashed, not the line, so quoting and line endings do not change ids.
    for (index, field) in fields.enumerate() {
        if index > 0 {
            content.push(FIELD_SEPARATOR);
        }
        content.extend_from_slice(field);
    }
}

#[cfg(test)]
mod tests;

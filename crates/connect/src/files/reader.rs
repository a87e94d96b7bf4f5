//! A log file as an iterator over its rows. In go a path, a format and how ids are made; out come events, items, rows that
//! the format documents as unusable, or the one error after which nothing more comes. Gzip is recognised by its first bytes.
//! Memory is bounded by a line.

use super::error::ReadError;
use super::format::{EventId, Format, ColumnLayout};
use super::row::LogRow;
use super::rows::{self, RowFields};
use csv::StringRecord;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh64::xxh64;

/// The first bytes of every gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 256 << 10;
/// What stands between the fields of a row when its id is made: no field holds it.
const FIELD_SEPARATOR: u8 = 0x1f;

/// A file that is being read.
pub struct LogReader {
    source: Source,
    event_id: EventId,
    /// Data rows so far.
    rows: u64,
    /// Written by the file below the decoder, read by progress bars.
    bytes_read: Arc<AtomicU64>,
    bytes_total: u64,
    /// After an error nothing more comes.
    over: bool,
}

enum Source {
    Table { reader: csv::Reader<Box<dyn Read + Send>>, layout: ColumnLayout, record: StringRecord },
    Lines { reader: BufReader<Box<dyn Read + Send>>, line: u64, text: String },
}

struct CountingReader<F> {
    file: F,
    bytes_read: Arc<AtomicU64>,
}

impl<F: Read> Read for CountingReader<F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl LogReader {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// `Open` if it cannot be opened, `Header` if it is of another format.
    pub fn open(path: &Path, format: Format, event_id: EventId) -> Result<Self, ReadError> {
        let opened = |source| ReadError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(opened)?;
        let bytes_total = file.metadata().map_err(opened)?.len();
        Self::over(file, bytes_total, path, format, event_id)
    }

    /// As [`Self::open`], of the `bytes_total` bytes that `file` gives and messages call `path`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn over(
        file: impl Read + Send + 'static,
        bytes_total: u64,
        path: &Path,
        format: Format,
        event_id: EventId,
    ) -> Result<Self, ReadError> {
        let opened = |source| ReadError::Open { path: path.to_owned(), source };
        let bytes_read = Arc::new(AtomicU64::new(0));
        let mut raw =
            BufReader::with_capacity(BUFFER_BYTES, CountingReader { file, bytes_read: Arc::clone(&bytes_read) });
        let gzip = raw.fill_buf().map_err(opened)?.starts_with(&GZIP);
        let text: Box<dyn Read + Send> =
            if gzip { Box::new(MultiGzDecoder::new(raw)) } else { Box::new(raw) };
        let source = Source::open(text, format)?;
        Ok(Self { source, event_id, rows: 0, bytes_read, bytes_total, over: false })
    }

    /// Bytes of the file that were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Bytes of the file.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    fn row(&mut self) -> Result<Option<LogRow>, ReadError> {
        let (mut row, content) = match &mut self.source {
            Source::Table { reader, layout, record } => {
                if !reader.read_record(record).map_err(|error| of_csv(error, reader.position().line()))? {
                    return Ok(None);
                }
                let fields = RowFields::new(record, layout.columns());
                (rows::read(*layout, &fields)?, content_of(record))
            }
            Source::Lines { reader, line, text } => {
                text.clear();
                let cut = |source| ReadError::Truncated { line: *line + 1, source };
                if reader.read_line(text).map_err(cut)? == 0 {
                    return Ok(None);
                }
                *line += 1;
                (LogRow::Event(rows::json(text, *line)?), text.trim_end().as_bytes().to_vec())
            }
        };
        self.rows += 1;
        if let LogRow::Event(event) = &mut row
            && event.event_id.is_empty()
        {
            event.event_id = self.id_of(&content);
        }
        Ok(Some(row))
    }

    /// XXH64 with seeds 0 and 1, as 32 hexadecimal digits; with the number of the row if equal rows are repeats.
    fn id_of(&self, content: &[u8]) -> String {
        let id = format!("{:016x}{:016x}", xxh64(content, 0), xxh64(content, 1));
        match self.event_id {
            EventId::Content => id,
            EventId::Row => format!("{id}-{}", self.rows),
        }
    }
}

impl Iterator for LogReader {
    type Item = Result<LogRow, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let row = self.row().transpose();
        self.over = !matches!(row, Some(Ok(_)));
        row
    }
}

impl Source {
    fn open(text: Box<dyn Read + Send>, format: Format) -> Result<Self, ReadError> {
        let Some(first) = format.layouts().first() else {
            let reader = BufReader::with_capacity(BUFFER_BYTES, text);
            return Ok(Self::Lines { reader, line: 0, text: String::new() });
        };
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(first.has_header())
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(text);
        let layout = if first.has_header() { layout_of(&mut reader, format)? } else { *first };
        Ok(Self::Table { reader, layout, record: StringRecord::new() })
    }
}

fn layout_of(reader: &mut csv::Reader<Box<dyn Read + Send>>, format: Format) -> Result<ColumnLayout, ReadError> {
    let header = reader.headers().map_err(|error| of_csv(error, 1))?.clone();
    let header: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
    if let Some(layout) = format.layouts().iter().find(|layout| layout.columns() == header) {
        return Ok(*layout);
    }
    let expected = format.layouts()[0].columns();
    let differs = |index: &usize| expected.get(*index) != header.get(*index);
    let index = (0..expected.len().max(header.len())).find(differs).unwrap_or(0);
    let name =
        |names: &[&str]| names.get(index).map_or_else(|| "nothing".to_owned(), |name| (*name).to_owned());
    let remedy = match Format::of_header(&header) {
        Some(other) => format!("it looks like --format {}", other.name()),
        None => format!("its columns are {}", expected.join(",")),
    };
    let (found, expected) = (name(&header), name(expected));
    Err(ReadError::Header { column: index + 1, format: format.name(), found, expected, remedy })
}

fn of_csv(error: csv::Error, reached: u64) -> ReadError {
    let line = error.position().map_or(reached, csv::Position::line).max(1);
    match error.into_kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            ReadError::Fields { line, found: len, expected: expected_len }
        }
        csv::ErrorKind::Utf8 { err, .. } => ReadError::Field {
            line,
            column: err.field() + 1,
            name: "text".to_owned(),
            problem: "is not UTF-8".to_owned(),
        },
        csv::ErrorKind::Io(source) => ReadError::Truncated { line, source },
        kind => ReadError::Truncated { line, source: std::io::Error::other(format!("{kind:?}")) },
    }
}

fn content_of(record: &StringRecord) -> Vec<u8> {
    let mut content = Vec::with_capacity(record.as_slice().len() + record.len());
    for (index, field) in record.iter().enumerate() {
        if index > 0 {
            content.push(FIELD_SEPARATOR);
        }
        content.extend_from_slice(field.as_bytes());
    }
    content
}

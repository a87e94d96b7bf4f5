//! Iterator over the rows of a log file: events, items, and rows that the format documents as unusable. The first error ends the
//! iteration. Gzip is detected by its first bytes. Memory is bounded by the longest line.

use super::error::ReadError;
use super::format::{ColumnLayout, EventId, Format};
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

/// Magic number of gzip files.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 256 << 10;
/// Separator of fields in the content that is hashed to an id (ASCII unit separator); no field contains it.
const FIELD_SEPARATOR: u8 = 0x1f;

/// Reader of a log file.
pub struct LogReader {
    source: Source,
    event_id: EventId,
    /// Number of data rows read.
    rows: u64,
    /// Bytes read below the decoder, for progress bars.
    bytes_read: Arc<AtomicU64>,
    bytes_total: u64,
    /// Set at the end or after the first error.
    is_finished: bool,
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
    /// [`ReadError::Open`] if the file cannot be opened, [`ReadError::Header`] if it has another format.
    pub fn open(path: &Path, format: Format, event_id: EventId) -> Result<Self, ReadError> {
        let open_error = |source| ReadError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(open_error)?;
        let bytes_total = file.metadata().map_err(open_error)?.len();
        Self::from_reader(file, bytes_total, path, format, event_id)
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
        event_id: EventId,
    ) -> Result<Self, ReadError> {
        let open_error = |source| ReadError::Open { path: path.to_owned(), source };
        let bytes_read = Arc::new(AtomicU64::new(0));
        // The counter is below the decoder, so progress compares compressed bytes with the size of the file.
        let mut raw = BufReader::with_capacity(
            BUFFER_BYTES,
            CountingReader { file, bytes_read: Arc::clone(&bytes_read) },
        );
        let gzip = raw.fill_buf().map_err(open_error)?.starts_with(&GZIP);
        let text: Box<dyn Read + Send> =
            if gzip { Box::new(MultiGzDecoder::new(raw)) } else { Box::new(raw) };
        let source = Source::open(text, format)?;
        Ok(Self { source, event_id, rows: 0, bytes_read, bytes_total, is_finished: false })
    }

    /// Returns the number of bytes read so far, before decompression.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Returns the size of the file in bytes.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    fn row(&mut self) -> Result<Option<LogRow>, ReadError> {
        let (mut row, content) = match &mut self.source {
            Source::Table { reader, layout, record } => {
                if !reader.read_record(record).map_err(|error| csv_error(error, reader.position().line()))? {
                    return Ok(None);
                }
                let fields = RowFields::new(record, layout.columns());
                (rows::read(*layout, &fields)?, content_of(record))
            }
            Source::Lines { reader, line, text } => {
                text.clear();
                let number = *line + 1;
                let read = reader.read_line(text);
                if read.map_err(|source| ReadError::Truncated { line: number, source })? == 0 {
                    return Ok(None);
                }
                *line += 1;
                (LogRow::Event(rows::json(text, *line)?), text.trim_end().as_bytes().to_vec())
            }
        };
        self.rows += 1;
        // JSON lines may bring ids of their own; only rows without one get a derived id.
        if let LogRow::Event(event) = &mut row
            && event.event_id.is_empty()
        {
            event.event_id = self.id_of(&content);
        }
        Ok(Some(row))
    }

    /// Returns the event id of a row: XXH64 with seeds 0 and 1 as 32 hexadecimal digits, followed by the row number if equal rows
    /// are repeated actions.
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
        if self.is_finished {
            return None;
        }
        // After an error the position in the file is undefined, so nothing more is read.
        let row = self.row().transpose();
        self.is_finished = !matches!(row, Some(Ok(_)));
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

fn layout_of(
    reader: &mut csv::Reader<Box<dyn Read + Send>>,
    format: Format,
) -> Result<ColumnLayout, ReadError> {
    let header = reader.headers().map_err(|error| csv_error(error, 1))?.clone();
    // Spreadsheet programs start files with a byte order mark.
    let header: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
    if let Some(layout) = format.layouts().iter().find(|layout| layout.columns() == header) {
        return Ok(*layout);
    }
    let expected = format.layouts()[0].columns();
    // The first differing column tells more than the whole header.
    let index = (0..expected.len().max(header.len()))
        .find(|index| expected.get(*index) != header.get(*index))
        .unwrap_or(0);
    let name =
        |names: &[&str]| names.get(index).map_or_else(|| "nothing".to_owned(), |name| (*name).to_owned());
    let remedy = match Format::of_header(&header) {
        Some(other) => format!("it looks like --format {}", other.name()),
        None => format!("its columns are {}", expected.join(",")),
    };
    Err(ReadError::Header {
        column: index + 1,
        format: format.name(),
        found: name(&header),
        expected: name(expected),
        remedy,
    })
}

fn csv_error(error: csv::Error, line_reached: u64) -> ReadError {
    // An error at the end of the file has no position; the line reached so far is the best hint.
    let line = error.position().map_or(line_reached, csv::Position::line).max(1);
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
        // Gzip ends with an I/O error if it is truncated.
        csv::ErrorKind::Io(source) => ReadError::Truncated { line, source },
        kind => ReadError::Truncated { line, source: std::io::Error::other(format!("{kind:?}")) },
    }
}

fn content_of(record: &StringRecord) -> Vec<u8> {
    // The parsed fields are hashed, not the line, so quoting and line endings do not change ids.
    let mut content = Vec::with_capacity(record.as_slice().len() + record.len());
    for (index, field) in record.iter().enumerate() {
        if index > 0 {
            content.push(FIELD_SEPARATOR);
        }
        content.extend_from_slice(field.as_bytes());
    }
    content
}

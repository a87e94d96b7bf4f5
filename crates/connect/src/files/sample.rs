//! First rows of a file, from which its format is detected and a mapping is guessed.

use super::error::ReadError;
use super::input::Input;
use super::mapping::{FileKind, Mapping};
use super::reader::LogReader;
use super::row::{LogOptions, RowBody};
use super::shipped::Format;
use super::source::WAY_OUT;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a file that are looked at, after decompression. Rows of public logs have 50 to 300 bytes.
const SAMPLE_BYTES: u64 = 256 << 10;
/// Rows that a mapping is tried on.
const TRIED_ROWS: usize = 500;

/// First rows of a file.
pub(super) struct FileSample {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Result of a mapping on a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) rows: usize,
    pub(super) rejected: usize,
    /// Rows that become events or items.
    pub(super) taken: usize,
    /// Columns of the file that the mapping reads.
    pub(super) columns: usize,
    /// True if the file names its columns: objects of JSON have those of any mapping, or not.
    pub(super) has_names: bool,
}

impl Trial {
    /// Returns true if the file seems to be one of the mapping.
    fn fits(self) -> bool {
        // Of some files the first rows are all left out, such as properties of items.
        self.rows > 0 && self.rejected * 2 <= self.rows && (self.has_names || self.taken > 0)
    }
}

impl FileSample {
    /// Reads the first rows of a file.
    ///
    /// # Errors
    /// [`ReadError::Open`] if it cannot be read, or can be read only once.
    pub(super) fn of(path: &Path) -> Result<Self, ReadError> {
        let failed = |source| ReadError::Open { path: path.to_owned(), source };
        // A pipe has no second reading.
        if std::fs::metadata(path).map_err(failed)?.file_type().is_file() {
            let mut bytes = Vec::new();
            let text = Input::open(path)?.text;
            // The end of a truncated file is for the import to find: its begin is enough here.
            let read = text.take(SAMPLE_BYTES).read_to_end(&mut bytes);
            if bytes.is_empty() {
                read.map_err(failed)?;
            }
            return Ok(Self::of_bytes(path, bytes));
        }
        let problem =
            "can be read only once, so that its format cannot be found in its first rows".to_owned();
        let remedy = "Name the format with --format, or a mapping with --map".to_owned();
        Err(ReadError::UnknownShape { path: path.to_owned(), problem, remedy })
    }

    /// Creates a sample of the first bytes of a file, whose last line may be cut.
    pub(super) fn of_bytes(path: &Path, mut bytes: Vec<u8>) -> Self {
        if bytes.len() as u64 >= SAMPLE_BYTES {
            let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
            bytes.truncate(end);
        }
        Self { path: path.to_owned(), bytes }
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Opens the sample by a mapping.
    ///
    /// # Errors
    /// As [`LogReader::open`].
    pub(super) fn open(&self, mapping: &Arc<Mapping>) -> Result<LogReader, ReadError> {
        let file = Cursor::new(self.bytes.clone());
        LogReader::from_reader(file, self.bytes.len() as u64, &self.path, mapping, LogOptions::default())
    }

    /// Tries a mapping; none if the file does not have its columns.
    pub(super) fn trial(&self, mapping: &Arc<Mapping>) -> Option<Trial> {
        let reader = self.open(mapping).ok()?;
        let columns = reader.bound().used().len();
        let has_names = reader.kind() != FileKind::Jsonl;
        let mut trial = Trial { rows: 0, rejected: 0, taken: 0, columns, has_names };
        for row in reader.take(TRIED_ROWS).flatten() {
            trial.rows += 1;
            trial.rejected += usize::from(matches!(row.body, RowBody::Rejected(_)));
            trial.taken += usize::from(matches!(row.body, RowBody::Event(_) | RowBody::Item(_)));
        }
        Some(trial)
    }

    /// Returns the format that ships whose columns the file has and by which at least half of its rows are read; of several, the one
    /// that reads most columns.
    pub(super) fn format(&self) -> Option<Format> {
        let fitting = Format::all().iter().filter_map(|format| {
            let trial = self.trial(&format.mapping()).filter(|trial| trial.fits())?;
            Some((trial.columns, *format))
        });
        let fitting: Vec<(usize, Format)> = fitting.collect();
        let most = fitting.iter().map(|(columns, _)| *columns).max()?;
        let mut best = fitting.into_iter().filter(|(columns, _)| *columns == most);
        // Of two that fit equally well neither is chosen.
        best.next().filter(|_| best.next().is_none()).map(|(_, format)| format)
    }
}

/// Finds the format of a file among those that ship, by its header and first rows.
///
/// # Errors
/// [`ReadError::UnknownShape`] if none fits, or several do, with the way to a mapping; [`ReadError::Open`] if the file cannot be read.
pub fn detect(path: &Path) -> Result<Format, ReadError> {
    FileSample::of(path)?.format().ok_or_else(|| {
        let names: Vec<&str> = Format::all().iter().map(|format| format.name()).collect();
        let problem = format!("has the shape of no format that ships ({})", names.join(", "));
        ReadError::UnknownShape { path: path.to_owned(), problem, remedy: upper(WAY_OUT) }
    })
}

fn upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

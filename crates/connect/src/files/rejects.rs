//! Rejected rows: counts by reason with the first of each, and a file with all of them.

use super::spreadsheet::spreadsheet_cell;
use csv::Writer;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Counts of rejected rows by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectCounts {
    by_reason: BTreeMap<&'static str, RejectCount>,
}

/// Rejected rows of one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectCount {
    /// Number of rows.
    pub rows: u64,
    /// First one, with line, column and value.
    pub example: String,
}

/// File of rejected rows: CSV with a header; `line`, `column`, `reason`, `raw`. Only its owner can read it, since rows have ids. A cell
/// that a spreadsheet would take for a formula begins with `'`.
pub struct RejectsFile(Writer<File>);

impl RejectCounts {
    /// Counts a rejected row.
    pub fn add(&mut self, reason: &'static str, example: impl FnOnce() -> String) {
        let count = self.by_reason.entry(reason).or_default();
        // The first message serves as example: thousands of equal ones would hide the other reasons.
        if count.rows == 0 {
            count.example = example();
        }
        count.rows += 1;
    }

    /// Returns the counts in the order of reasons.
    pub fn by_reason(&self) -> impl Iterator<Item = (&'static str, &RejectCount)> {
        self.by_reason.iter().map(|(reason, count)| (*reason, count))
    }

    /// Returns the number of rejected rows.
    pub fn rows(&self) -> u64 {
        self.by_reason.values().map(|count| count.rows).sum()
    }
}

impl RejectsFile {
    /// Creates the file, or empties it; `log` is the log that is read, if it is a file.
    ///
    /// # Errors
    /// If the file cannot be written, or is the log itself.
    pub fn create(path: &Path, log: Option<&Path>) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let own = file.metadata()?;
        let other = log.map(std::fs::metadata).transpose()?;
        if other.is_some_and(|other| (own.dev(), own.ino()) == (other.dev(), other.ino())) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is the log that is read: name another file",
            ));
        }
        if own.is_file() {
            file.set_len(0)?;
            // The mode above is that of a new file only.
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        let mut writer = Writer::from_writer(file);
        writer.write_record(["line", "column", "reason", "raw"]).map_err(io::Error::from)?;
        Ok(Self(writer))
    }

    /// Writes a row. `column` is that of the defect, from 1.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&mut self, line: u64, column: Option<usize>, reason: &str, raw: &[u8]) -> io::Result<()> {
        let column = column.map(|column| column.to_string()).unwrap_or_default();
        let line = line.to_string();
        // Rows come from outside, and people open the file in a spreadsheet.
        let record = [line.as_bytes(), column.as_bytes(), reason.as_bytes(), raw].map(spreadsheet_cell);
        self.0.write_record(record).map_err(io::Error::from)
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

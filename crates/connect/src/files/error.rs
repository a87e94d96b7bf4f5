//! Errors that end the reading of a file. A row that cannot be read is no error: it is a rejected row, and reading goes on.

use std::path::PathBuf;

/// Failure to open or read a file.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened.
    #[error("{} cannot be opened", path.display())]
    Open {
        /// Path of the file.
        path: PathBuf,
        /// Error of the file system.
        #[source]
        source: std::io::Error,
    },
    /// The header does not match the format.
    #[error(
        "line 1, column {column}: the header is not of format {format}: found {found:?}, expected {expected:?}; {remedy}"
    )]
    Header {
        /// First differing column, from 1.
        column: usize,
        /// Name of the requested format.
        format: String,
        /// Column name in the file.
        found: String,
        /// Column name of the format.
        expected: String,
        /// Matching format, or the columns of the requested one.
        remedy: String,
    },
    /// The file ends or becomes unreadable within a line.
    #[error("line {line}: the file cannot be read further; it may be truncated")]
    Truncated {
        /// Line number, from 1.
        line: u64,
        /// Error of the file system or of the decoder.
        #[source]
        source: std::io::Error,
    },
    /// Rows cannot be written to or read from the temporary folder of the sort.
    #[error("rows cannot be sorted in {}: free space there, or name another folder in TMPDIR", folder.display())]
    Sort {
        /// Temporary folder.
        folder: PathBuf,
        /// Error of the file system.
        #[source]
        source: std::io::Error,
    },
}

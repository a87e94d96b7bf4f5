//! Errors of reading a file, with line and column. Rows before the error have been read.

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
    /// The line has too few or too many fields.
    #[error(
        "line {line}: has {found} fields, {expected} are expected: the line is truncated, or the file has another format"
    )]
    Fields {
        /// Line number, from 1.
        line: u64,
        /// Number of fields in the line.
        found: u64,
        /// Number of columns of the format.
        expected: u64,
    },
    /// The field cannot be parsed.
    #[error("line {line}, column {column} ({name}): {problem}")]
    Field {
        /// Line number, from 1.
        line: u64,
        /// Column number, from 1.
        column: usize,
        /// Name of the column.
        name: String,
        /// Problem, as a predicate: "is not UTF-8".
        problem: String,
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
}

//! Why a file cannot be read on. Every error names the line, and the column where there is one; what came before it was read.

use std::path::PathBuf;

/// What a reader answers instead of a row.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened.
    #[error("{} cannot be opened", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The header is of another format, or of none.
    #[error(
        "line 1, column {column}: the header is not of format {format}: {found:?} stands where {expected:?} is expected; {remedy}"
    )]
    Header {
        /// The first column that differs, from 1.
        column: usize,
        /// The format that was asked for.
        format: String,
        /// What stands there.
        found: String,
        /// What is expected there.
        expected: String,
        /// What to do.
        remedy: String,
    },
    /// A line has too few or too many fields.
    #[error(
        "line {line}: has {found} fields, {expected} are expected: the line is cut, or the file is of another format"
    )]
    Fields {
        /// Which, from 1.
        line: u64,
        /// How many it has.
        found: u64,
        /// How many it should have.
        expected: u64,
    },
    /// A field cannot be understood.
    #[error("line {line}, column {column} ({name}): {problem}")]
    Field {
        /// Which line, from 1.
        line: u64,
        /// Which column, from 1.
        column: usize,
        /// The column's name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file ends, or cannot be read on, within a line.
    #[error("line {line}: the file cannot be read on; it may be cut")]
    Truncated {
        /// The line, from 1.
        line: u64,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

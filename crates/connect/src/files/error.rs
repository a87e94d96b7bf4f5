//! Errors that end the reading of a file. A row that cannot be read is no error: it is a rejected row, and reading goes on.

use super::mapping::MappingError;
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
    /// The mapping cannot be used.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// Table of a database without a mapping.
    #[error(
        "the columns of a table need a mapping: name one with --map FILE, as docs/guides/import.md describes it"
    )]
    NoMapping,
    /// The file does not have the columns of the mapping.
    #[error("line 1: the file is not of format {format}: it has no column for {missing}; {remedy}")]
    Columns {
        /// Name of the mapping.
        format: String,
        /// Fields without a column, and the names that were looked for.
        missing: String,
        /// Matching format, or the columns of the file and a way to a mapping.
        remedy: String,
    },
    /// The file has the shape of no format that ships, or of several.
    #[error("{} {problem}. {remedy}", path.display())]
    UnknownShape {
        /// Path of the file.
        path: PathBuf,
        /// Problem as a predicate.
        problem: String,
        /// Way to a mapping.
        remedy: String,
    },
    /// The joined table is too large to keep in memory.
    #[error(
        "{file} has more than {rows_max} rows, or 512 MiB of the columns that are used: join the files before the import"
    )]
    JoinTooLarge {
        /// Name of the table.
        file: String,
        /// Most rows.
        rows_max: usize,
    },
    /// The key of a join is no column of both files.
    #[error("{column:?} is not a column of both files: name one of {file} in join.on of the mapping")]
    JoinColumn {
        /// Name of the column.
        column: String,
        /// Name of the table.
        file: String,
    },
    /// The form of the file is not compiled in, or the file is damaged.
    #[error("the file is no {form} that can be read: {problem}")]
    Form {
        /// Form, as in a mapping.
        form: &'static str,
        /// Problem, and the remedy.
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
    /// Rows cannot be written to or read from the temporary folder of the sort.
    #[error("rows cannot be sorted in {}: free space there, or name another folder in TMPDIR", folder.display())]
    Sort {
        /// Temporary folder.
        folder: PathBuf,
        /// Error of the file system.
        #[source]
        source: std::io::Error,
    },
    /// Reading was stopped by its caller.
    #[error("stopped")]
    Stopped,
}

//! Errors of mappings: each names the line, the key, and what to write instead.

use std::path::PathBuf;

/// Failure to read a mapping.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The file cannot be read.
    #[error("the mapping {} cannot be read", path.display())]
    Open {
        /// Path of the mapping.
        path: PathBuf,
        /// Error of the file system.
        #[source]
        source: std::io::Error,
    },
    /// The file is longer than a mapping can be.
    #[error("the mapping has more than {max_bytes} bytes: name the mapping with --map, not the data")]
    TooLarge {
        /// Limit in bytes.
        max_bytes: u64,
    },
    /// The text is not TOML.
    #[error("line {line} of the mapping: {problem}")]
    Syntax {
        /// Line number, from 1.
        line: usize,
        /// Problem as the parser of TOML reports it.
        problem: String,
    },
    /// A key has a value that it cannot have, is unknown, or is missing.
    #[error("line {line} of the mapping, {key}: {problem}; {remedy}")]
    Key {
        /// Line number, from 1.
        line: usize,
        /// Key with its table, as `source.delimiter`.
        key: String,
        /// Problem as a predicate.
        problem: String,
        /// Advice on what to write instead.
        remedy: String,
    },
}

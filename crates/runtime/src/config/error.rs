//! Errors of reading a configuration: which key, who set it and what to do.

use std::path::PathBuf;

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {} is not TOML", path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Where in it, and why.
        #[source]
        source: toml::de::Error,
    },
    /// A key is not known.
    #[error("{place} sets {key}, which is not a key: {remedy}")]
    UnknownKey {
        /// As it was given, as `server.lisen`.
        key: String,
        /// The file, the variable or the flag.
        place: String,
        /// What was probably meant.
        remedy: String,
    },
    /// A value is not of its key's type.
    #[error("{place} sets {key}: {problem}")]
    Value {
        /// As `server.listen`.
        key: String,
        /// The file, the variable or the flag.
        place: String,
        /// What is wrong with the value.
        problem: String,
    },
    /// A configuration cannot be written as TOML.
    #[error("cannot write the configuration as TOML")]
    Dump(#[source] toml::ser::Error),
}

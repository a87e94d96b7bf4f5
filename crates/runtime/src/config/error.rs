//! Errors of reading a configuration, with key, origin and remedy.

use std::path::PathBuf;

/// Failure to read or write a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    File {
        /// Path as given on the command line.
        path: PathBuf,
        /// Error of the file system.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {} is not TOML", path.display())]
    Syntax {
        /// Path as given on the command line.
        path: PathBuf,
        /// Syntax error with line and column.
        #[source]
        source: toml::de::Error,
    },
    /// The key is unknown.
    #[error("{origin} sets {key}, which is not a key: {remedy}")]
    UnknownKey {
        /// Key as given, such as `server.lisen`.
        key: String,
        /// File, environment variable or command line.
        origin: String,
        /// Similar known key, or the command that lists all keys.
        remedy: String,
    },
    /// The environment variable has a name of this program that nothing reads.
    #[error("the environment variable {name} sets nothing: did you mean {known}? Remove or rename it")]
    Variable {
        /// Name as given.
        name: String,
        /// Most similar name that is read.
        known: String,
    },
    /// The value has the wrong type.
    #[error("{origin} sets {key}: {problem}")]
    Value {
        /// Key, such as `server.listen`.
        key: String,
        /// File, environment variable or command line.
        origin: String,
        /// Description of the type mismatch.
        problem: String,
    },
    /// The configuration cannot be written as TOML.
    #[error("cannot write the configuration as TOML")]
    Dump(#[source] toml::ser::Error),
}

//! Choice of a mapping on the command line.

use super::error::ReadError;
use super::mapping::Mapping;
use super::sample::detect;
use super::shipped::Format;
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Mapping of a file: one that ships, one of the user's own, or the one that the file fits.
#[derive(Clone, Debug, Default, Args)]
pub struct MappingArgs {
    /// Format that ships [default: found by the header and the first rows].
    #[arg(long, value_enum, conflicts_with = "map")]
    pub format: Option<Format>,
    /// Mapping of your own, in TOML: tells which column is the user, the item, the action and the time.
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
}

impl MappingArgs {
    /// Returns the mapping of `file`, and whether it was found by its rows.
    ///
    /// # Errors
    /// [`ReadError::Mapping`] for a mapping that cannot be read, [`ReadError::UnknownShape`] if no format that ships fits.
    pub fn mapping(&self, file: &Path) -> Result<(Arc<Mapping>, bool), ReadError> {
        match (&self.map, self.format) {
            (Some(path), _) => Ok((Arc::new(Mapping::load(path)?), false)),
            (None, Some(format)) => Ok((format.mapping(), false)),
            (None, None) => Ok((detect(file)?.mapping(), true)),
        }
    }
}

impl MappingArgs {
    /// Returns the mapping of a database table, which has to be named.
    ///
    /// # Errors
    /// [`ReadError::Mapping`] for a mapping that cannot be read, [`ReadError::NoMapping`] without one.
    pub fn mapping_of_table(&self) -> Result<Arc<Mapping>, ReadError> {
        match (&self.map, self.format) {
            (Some(path), _) => Ok(Arc::new(Mapping::load(path)?)),
            (None, Some(format)) => Ok(format.mapping()),
            (None, None) => Err(ReadError::NoMapping),
        }
    }
}

impl From<Format> for MappingArgs {
    fn from(format: Format) -> Self {
        Self { format: Some(format), map: None }
    }
}

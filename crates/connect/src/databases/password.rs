//! Password of a database user.

use super::error::SourceError;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Longest password, in bytes.
const MAX_BYTES: u64 = 4096;

/// Password of a database user. It is never formatted: `Debug` prints a placeholder.
#[derive(Clone)]
pub struct Password(Box<str>);

impl Password {
    /// Reads the first line of a file, without its line break.
    ///
    /// # Errors
    /// [`SourceError::PasswordFile`] if the file cannot be read, or if its first line is empty, longer than 4,096 bytes, or no UTF-8.
    pub fn from_file(path: &Path) -> Result<Self, SourceError> {
        let refused = |source| SourceError::PasswordFile { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(|error| refused(Some(error)))?;
        let mut line = String::new();
        // One byte more than allowed, so that a longer line is refused rather than cut.
        let mut reader = BufReader::new(file.take(MAX_BYTES + 2));
        reader.read_line(&mut line).map_err(|error| refused(Some(error)))?;
        let password = line.trim_end_matches(['\r', '\n']);
        if password.is_empty() || password.len() as u64 > MAX_BYTES {
            return Err(refused(None));
        }
        Ok(Self(password.into()))
    }

    /// Returns the password for the driver's login.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(hidden)")
    }
}

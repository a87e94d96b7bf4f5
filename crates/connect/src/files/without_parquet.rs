//! Stand-in for the reader of Parquet in a binary that is built without it.

use super::error::ReadError;
use super::record::CsvRecord;
use std::convert::Infallible;
use std::path::Path;

/// File that cannot be opened.
pub(super) struct ParquetFile(Infallible);

/// Rows of a file that cannot be opened.
pub(super) struct ParquetRows(Infallible);

impl ParquetFile {
    /// Refuses to open a file.
    ///
    /// # Errors
    /// [`ReadError::Form`] always.
    pub(super) fn open(_: &Path) -> Result<Self, ReadError> {
        let problem = "this binary is built without Parquet: export the file as CSV".to_owned();
        Err(ReadError::Form { form: "parquet", problem })
    }

    pub(super) fn names(&self) -> &[String] {
        match self.0 {}
    }

    pub(super) fn rows(self, _: Vec<usize>) -> Result<ParquetRows, ReadError> {
        match self.0 {}
    }
}

impl ParquetRows {
    pub(super) fn read(&mut self, _: &mut CsvRecord) -> Result<bool, ReadError> {
        match self.0 {}
    }

    pub(super) fn progress(&self) -> (u64, u64) {
        match self.0 {}
    }
}

//! Guess of a mapping from the header and the first rows of a file: the format that ships if one fits, else one that is put together
//! from names of columns and shapes of values.

mod fields;
mod names;
mod table;
mod text;
mod times;

use super::error::ReadError;
use super::mapping::Mapping;
use super::row::LogRow;
use super::sample::FileSample;
use super::shipped::Format;
use fields::GuessedFields;
use std::path::Path;
use std::sync::Arc;
use table::SampleTable;

/// Rows that are shown.
const SHOWN_ROWS: usize = 5;

/// Guessed mapping.
pub struct GuessedMapping {
    /// Mapping as TOML, with comments on what to check.
    pub text: String,
    /// Format that ships whose text it is.
    pub format: Option<Format>,
    /// First rows as they would be read; empty if a required column was not found.
    pub rows: Vec<LogRow>,
    /// Fields that no column was found for, though a mapping needs them.
    pub missing: Vec<&'static str>,
}

/// Guesses the mapping of a file.
///
/// # Errors
/// [`ReadError::Open`] if the file cannot be read, [`ReadError::UnknownShape`] if it can be read only once.
pub fn guess(path: &Path) -> Result<GuessedMapping, ReadError> {
    of_sample(&FileSample::of(path)?)
}

/// Guesses the mapping of a sample.
pub(super) fn of_sample(sample: &FileSample) -> Result<GuessedMapping, ReadError> {
    match sample.format() {
        Some(format) => {
            let rows = shown(sample, &format.mapping());
            let text = format!(
                "# The file has the shape of a format that ships: --format {} reads it without this mapping.\n{}",
                format.name(),
                format.text()
            );
            Ok(GuessedMapping { text, format: Some(format), rows, missing: Vec::new() })
        }
        None => by_columns(sample),
    }
}

/// Guesses a mapping from names of columns and shapes of values alone.
pub(super) fn by_columns(sample: &FileSample) -> Result<GuessedMapping, ReadError> {
    let table = SampleTable::of(sample)?;
    let fields = GuessedFields::of(&table);
    let text = text::toml(sample.path(), &table, &fields);
    let mapping = Mapping::parse(&text).ok().map(Arc::new);
    let rows = mapping.map(|mapping| shown(sample, &mapping)).unwrap_or_default();
    Ok(GuessedMapping { text, format: None, rows, missing: fields.missing() })
}

fn shown(sample: &FileSample, mapping: &Arc<Mapping>) -> Vec<LogRow> {
    let rows = sample.open(mapping).ok();
    rows.into_iter().flatten().flatten().take(SHOWN_ROWS).collect()
}

#[cfg(test)]
mod tests;

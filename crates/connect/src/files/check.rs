//! Check of a mapping against a file: which column becomes which field, and how the first rows are read.

use super::bound::BoundMapping;
use super::error::ReadError;
use super::mapping::{FieldSource, FileKind, Mapping};
use super::reader::LogReader;
use super::rejects::RejectCounts;
use super::row::{LogOptions, LogRow, RowBody};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Rows that are read.
const ROWS: usize = 1000;
/// Rows that are kept to be shown.
const SHOWN_ROWS: usize = 5;

/// Result of a mapping on a file.
#[derive(Clone, Debug)]
pub struct MappingCheck {
    /// Form of the file.
    pub kind: FileKind,
    /// Key of each field and its columns, or its constant value.
    pub fields: Vec<(String, String)>,
    /// Columns that are not read.
    pub unused: Vec<String>,
    /// Number of rows that were read, at most 1,000.
    pub rows: usize,
    /// Rows that cannot be read, by reason.
    pub rejected: RejectCounts,
    /// First rows.
    pub shown: Vec<LogRow>,
}

/// Checks a mapping against the header and the first 1,000 rows of a file.
///
/// # Errors
/// As [`LogReader::open`], and if the rows cannot be read.
pub fn check(path: &Path, mapping: &Arc<Mapping>) -> Result<MappingCheck, ReadError> {
    let reader = LogReader::open(path, mapping, LogOptions::default())?;
    let bound = Arc::clone(reader.bound());
    let mut check = MappingCheck {
        kind: reader.kind(),
        fields: fields(&bound),
        unused: unused(&bound),
        rows: 0,
        rejected: RejectCounts::default(),
        shown: Vec::new(),
    };
    for row in reader.take(ROWS) {
        let row = row?;
        check.rows += 1;
        if let RowBody::Rejected(defect) = &row.body {
            check.rejected.add(defect.reason.name(), || defect.at_line(row.line));
        }
        if check.shown.len() < SHOWN_ROWS {
            check.shown.push(row);
        }
    }
    Ok(check)
}

fn fields(bound: &BoundMapping) -> Vec<(String, String)> {
    let Some(table) = &bound.fields else {
        return vec![("all".to_owned(), "the field names of the API".to_owned())];
    };
    let constants = table.fields.iter().filter_map(|(field, source)| match source {
        FieldSource::Constant(value) => Some((field.key().to_owned(), format!("{value:?} in all rows"))),
        FieldSource::Column { .. } => None,
    });
    let columns = table.columns().into_iter().map(|(key, columns)| {
        let names: Vec<&str> = columns.iter().map(|index| bound.names[*index].as_str()).collect();
        let names = if names.is_empty() { "not in this file".to_owned() } else { names.join(", else ") };
        (key.to_owned(), names)
    });
    columns.chain(constants).collect()
}

fn unused(bound: &BoundMapping) -> Vec<String> {
    let used: BTreeSet<usize> = bound.used().into_iter().collect();
    (0..bound.width).filter(|index| !used.contains(index)).map(|index| bound.names[index].clone()).collect()
}

//! Columns of a sample with their first values.

use super::super::cell::is_missing;
use super::super::error::ReadError;
use super::super::forms;
use super::super::line::{Lines, Text};
use super::super::mapping::FileKind;
use super::super::objects::{ObjectText, Objects};
use super::super::parquet::ParquetFile;
use super::super::record::CsvRecord;
use super::super::rows;
use super::super::sample::FileSample;
use super::super::table::Table;
use super::super::xlsx;
use serde_json::{Map, Value};
use std::io::Cursor;
use std::path::Path;

/// Rows that are looked at.
const ROWS: usize = 300;
/// Most columns that are looked at. The widest public table has 25.
const COLUMNS_MAX: usize = 1000;

/// First rows of a file by column.
pub(super) struct SampleTable {
    pub(super) kind: FileKind,
    /// None for forms without one.
    pub(super) delimiter: Option<u8>,
    pub(super) has_header: bool,
    /// True if a field is not UTF-8.
    pub(super) has_other_bytes: bool,
    /// Field of an object with the rows in a list.
    pub(super) each: Option<String>,
    pub(super) names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl SampleTable {
    /// Reads the first rows of a sample.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] if they cannot be read.
    pub(super) fn of(sample: &FileSample) -> Result<Self, ReadError> {
        let text: Text = Box::new(Cursor::new(sample.bytes().to_vec()));
        let first = sample.bytes().iter().find(|byte| !byte.is_ascii_whitespace() && byte.is_ascii());
        // An array of objects is no form of its own.
        let named = (first == Some(&b'[')).then_some(FileKind::Jsonl);
        match forms::form(&mut sample.bytes(), named).unwrap_or(FileKind::Csv) {
            FileKind::Jsonl => Self::of_objects(text),
            FileKind::Csv => Self::of_lines(text),
            FileKind::Xlsx => {
                let lines = Self::of_lines(xlsx::lines(sample.path())?)?;
                Ok(Self { kind: FileKind::Xlsx, delimiter: None, ..lines })
            }
            FileKind::Parquet => Self::of_parquet(sample.path()),
        }
    }

    fn of_parquet(path: &Path) -> Result<Self, ReadError> {
        let file = ParquetFile::open(path)?;
        let names = file.names().to_vec();
        let mut sampled = Self { kind: FileKind::Parquet, names, ..Self::empty() };
        let mut rows = file.rows((0..sampled.names.len()).collect())?;
        let mut record = CsvRecord::default();
        while sampled.rows.len() < ROWS && rows.read(&mut record)? {
            sampled.rows.push(texts(&record));
        }
        Ok(sampled)
    }

    fn empty() -> Self {
        Self {
            kind: FileKind::Jsonl,
            delimiter: None,
            has_header: true,
            has_other_bytes: false,
            each: None,
            names: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Returns the values of a column that are not missing.
    pub(super) fn values(&self, column: usize) -> Vec<&str> {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(String::as_str);
        cells.filter(|cell| !is_missing(cell)).collect()
    }

    fn of_lines(text: Text) -> Result<Self, ReadError> {
        let mut table = Table::new(Lines::new(text, 1), None);
        let mut names = table.header()?;
        names.truncate(COLUMNS_MAX);
        // Names of columns are no numbers, and none of them is missing or stands twice.
        let is_name =
            |name: &String| !name.is_empty() && !name.starts_with(|letter: char| letter.is_ascii_digit());
        let has_header = names.iter().filter(|name| !is_name(name)).count() <= usize::from(names.len() > 2)
            && names.iter().skip(1).all(is_name);
        if !has_header {
            table.return_header(names.len());
            names = (1..=names.len()).map(|number| format!("column_{number}")).collect();
        }
        let mut sampled = Self {
            kind: FileKind::Csv,
            delimiter: Some(table.delimiter()),
            has_header,
            has_other_bytes: false,
            each: None,
            names,
            rows: Vec::new(),
        };
        while sampled.rows.len() < ROWS && table.read()? {
            if let Ok(record) = table.split()? {
                sampled.has_other_bytes |= record.fields().any(|field| std::str::from_utf8(field).is_err());
                sampled.rows.push(texts(record));
            }
        }
        Ok(sampled)
    }

    fn of_objects(text: Text) -> Result<Self, ReadError> {
        let mut objects = Objects::open(text)?;
        let mut object = ObjectText::default();
        let mut sampled = Self::empty();
        let mut texts = Vec::new();
        // The last object of a sample may be cut, and is left out.
        while texts.len() < ROWS && objects.read(&mut object).unwrap_or(false) {
            if let Ok(Value::Object(fields)) = serde_json::from_slice(&object.bytes) {
                sampled.note_names(&fields);
                texts.push(std::mem::take(&mut object));
            }
        }
        for text in &texts {
            let rows = rows::objects(text, &sampled.names, sampled.each.as_deref());
            let rows = rows.into_iter().flatten().flatten().map(|row| self::texts(&row.record));
            sampled.rows.extend(rows.take(ROWS - sampled.rows.len().min(ROWS)));
        }
        Ok(sampled)
    }

    fn note_names(&mut self, fields: &Map<String, Value>) {
        for (name, value) in fields {
            match value {
                Value::Array(entries) if entries.first().is_some_and(Value::is_object) => {
                    self.each.get_or_insert_with(|| name.clone());
                    if let Some(Value::Object(inner)) = entries.first() {
                        inner.keys().for_each(|name| self.note(name));
                    }
                }
                _ => self.note(name),
            }
        }
    }

    fn note(&mut self, name: &str) {
        if self.names.len() < COLUMNS_MAX && !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }
}

fn texts(record: &CsvRecord) -> Vec<String> {
    record.fields().map(|field| String::from_utf8_lossy(field).into_owned()).collect()
}

//! Rows of a file in any form, converted by a mapping that is bound to its columns.

use super::bound::{BoundMapping, MissingColumns};
use super::error::ReadError;
use super::forms;
use super::identity::EventIdentity;
use super::join::{JoinFile, JoinTable};
use super::line::{Lines, Text};
use super::mapping::{FileKind, Mapping};
use super::object_rows::{ObjectRows, names_of};
use super::parquet::{ParquetFile, ParquetRows};
use super::record::CsvRecord;
use super::row::{RowBody, RowDefect};
use super::rows::{self, RowFields};
use super::shipped::Format;
use super::table::Table;
use super::xlsx;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// Way to a mapping, for files that fit none.
pub(super) const WAY_OUT: &str = "a mapping tells which column is the user, the item, the action and the time: \
    `portrait import FILE --guess > map.toml` proposes one, and `--map map.toml` uses it (docs/guides/import.md)";

/// Rows of a file.
pub(super) struct RowSource {
    kind: FileKind,
    rows: Rows,
    convert: RowConverter,
}

enum Rows {
    Table(Box<Table>),
    Objects(Box<ObjectRows>),
    Parquet { rows: Box<ParquetRows>, record: CsvRecord },
}

/// Opened file whose columns are known.
enum OpenedFile {
    Rows(Rows),
    Parquet(Box<ParquetFile>),
}

/// Converter of rows.
struct RowConverter {
    bound: Arc<BoundMapping>,
    join: Option<JoinTable>,
    identity: EventIdentity,
}

/// Row as it was read.
pub(super) struct SourceRow {
    pub(super) line: u64,
    pub(super) body: RowBody,
    pub(super) has_own_id: bool,
}

impl RowSource {
    /// Reads the header of a file and binds the mapping to it. `path` names the folder of a joined table.
    ///
    /// # Errors
    /// [`ReadError::Columns`] if the file does not have the columns of the mapping, and those of the joined table.
    pub(super) fn open(mut text: Text, path: &Path, mapping: &Arc<Mapping>) -> Result<Self, ReadError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let join_file = mapping.join.as_ref().map(|rule| JoinFile::open(folder, rule)).transpose()?;
        let kind = forms::form(&mut text, mapping.kind())
            .map_err(|source| ReadError::Truncated { line: 1, source })?;
        let (file, header) = opened(kind, text, path, mapping)?;
        let joined_header = join_file.as_ref().map_or(&[][..], JoinFile::header);
        let bound = BoundMapping::bind(Arc::clone(mapping), header.clone(), joined_header);
        let mut bound = bound.map_err(|missing| columns_error(mapping, &missing, &header))?;
        bound.has_types = forms::has_types(kind);
        let join = join_file.map(|file| file.read(&bound)).transpose()?;
        let rows = match file {
            OpenedFile::Rows(rows) => rows,
            OpenedFile::Parquet(file) => {
                let mut used = bound.used();
                // The key of a join is read too, and columns of the joined table are not in the file.
                used.extend(join.as_ref().map(JoinTable::key));
                used.sort_unstable();
                used.dedup();
                used.retain(|index| *index < bound.width);
                Rows::Parquet { rows: Box::new(file.rows(used)?), record: CsvRecord::default() }
            }
        };
        let convert = RowConverter { bound: Arc::new(bound), join, identity: EventIdentity::default() };
        Ok(Self { kind, rows, convert })
    }

    /// Returns the form of the file.
    pub(super) fn kind(&self) -> FileKind {
        self.kind
    }

    /// Returns the number of rows that were read and that of all rows, if the file tells it.
    pub(super) fn progress(&self) -> Option<(u64, u64)> {
        match &self.rows {
            Rows::Parquet { rows, .. } => Some(rows.progress()),
            Rows::Table(_) | Rows::Objects(_) => None,
        }
    }

    /// Returns the mapping with the columns of the file.
    pub(super) fn bound(&self) -> &Arc<BoundMapping> {
        &self.convert.bound
    }

    /// Reads the next row.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] if the file cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<SourceRow>, ReadError> {
        match &mut self.rows {
            Rows::Table(table) => {
                if !table.read()? {
                    return Ok(None);
                }
                let line = table.line();
                let record = table.split()?;
                Ok(Some(self.convert.converted(line, record)))
            }
            Rows::Parquet { rows, record } => {
                if !rows.read(record)? {
                    return Ok(None);
                }
                // The first row is 1: there is no line with names.
                Ok(Some(self.convert.converted(rows.progress().0, Ok(record))))
            }
            Rows::Objects(rows) => {
                if self.convert.bound.fields.is_none() {
                    return Ok(rows.api_row()?.map(|body| self.convert.identified(rows.line(), body)));
                }
                let Some(record) = rows.mapped_row(&self.convert.bound)? else { return Ok(None) };
                let line = rows.line();
                Ok(Some(match record {
                    Ok(mut record) => self.convert.converted(line, Ok(&mut record)),
                    Err(defect) => self.convert.converted(line, Err(defect)),
                }))
            }
        }
    }

    /// Returns the bytes of the newest row; of a form without lines, its values joined by commas.
    pub(super) fn raw(&self) -> Cow<'_, [u8]> {
        match &self.rows {
            Rows::Table(table) => Cow::Borrowed(table.raw()),
            Rows::Objects(rows) => Cow::Borrowed(rows.raw()),
            Rows::Parquet { record, .. } => Cow::Owned(record.fields().collect::<Vec<_>>().join(&b',')),
        }
    }
}

impl RowConverter {
    fn converted(&mut self, line: u64, record: Result<&mut CsvRecord, RowDefect>) -> SourceRow {
        let body = record.and_then(|record| {
            if let Some(join) = &self.join {
                join.extend(record, &self.bound.names[join.key()])?;
            }
            let fields = RowFields::new(record, &self.bound);
            let mut body = rows::mapped(&self.bound, &fields)?;
            let mut has_own_id = true;
            if let RowBody::Event(event) = &mut body
                && event.event_id.is_empty()
            {
                has_own_id = false;
                let mut more = Vec::new();
                for columns in &self.bound.distinguish {
                    more.push(fields.plain(columns)?);
                }
                event.event_id = self.identity.derive(event, more.iter().map(String::as_str));
            }
            Ok((body, has_own_id))
        });
        let (body, has_own_id) = body.unwrap_or_else(|defect| (RowBody::Rejected(defect), false));
        SourceRow { line, body, has_own_id }
    }

    /// Completes an object of the API: only one without an id gets a derived one.
    fn identified(&mut self, line: u64, mut body: RowBody) -> SourceRow {
        let mut has_own_id = true;
        if let RowBody::Event(event) = &mut body
            && event.event_id.is_empty()
        {
            has_own_id = false;
            event.event_id = self.identity.derive(event, std::iter::empty());
        }
        SourceRow { line, body, has_own_id }
    }
}

/// Opens a file in any form and returns the names of its columns.
fn opened(
    kind: FileKind,
    text: Text,
    path: &Path,
    mapping: &Mapping,
) -> Result<(OpenedFile, Vec<String>), ReadError> {
    Ok(match kind {
        FileKind::Csv => {
            let (table, header) = table(text, mapping, mapping.source.delimiter)?;
            (OpenedFile::Rows(Rows::Table(Box::new(table))), header)
        }
        FileKind::Xlsx => {
            let (table, header) = table(xlsx::lines(path)?, mapping, Some(b','))?;
            (OpenedFile::Rows(Rows::Table(Box::new(table))), header)
        }
        FileKind::Jsonl => {
            let rows = Rows::Objects(Box::new(ObjectRows::open(text)?));
            (OpenedFile::Rows(rows), names_of(mapping))
        }
        FileKind::Parquet => {
            let file = ParquetFile::open(path)?;
            let names = file.names().to_vec();
            (OpenedFile::Parquet(Box::new(file)), names)
        }
    })
}

/// Opens a table and finds its header.
fn table(text: Text, mapping: &Mapping, delimiter: Option<u8>) -> Result<(Table, Vec<String>), ReadError> {
    let mut table = Table::new(Lines::new(text, 1), delimiter);
    let first = table.header()?;
    let Some(columns) = &mapping.source.columns else { return Ok((table, first)) };
    let is_header = first.iter().zip(columns).all(|(found, name)| found.eq_ignore_ascii_case(name));
    if first.len() == columns.len() && is_header {
        return Ok((table, columns.clone()));
    }
    if Format::of_header(&first).is_some() {
        // Without a header every row would be rejected on its own.
        let missing = MissingColumns(vec![("a file without a header".to_owned(), columns.clone())]);
        return Err(columns_error(mapping, &missing, &first));
    }
    table.return_header(columns.len());
    Ok((table, columns.clone()))
}

fn columns_error(mapping: &Mapping, missing: &MissingColumns, header: &[String]) -> ReadError {
    let remedy = match Format::of_header(header).filter(|format| format.name() != mapping.name()) {
        Some(other) => format!("it looks like --format {}", other.name()),
        None if header.is_empty() => "the file is empty".to_owned(),
        None => format!("its columns are {}; {WAY_OUT}", header.join(", ")),
    };
    let missing = missing.0.iter().map(|(key, names)| format!("{key} ({})", names.join(" or ")));
    let missing = missing.collect::<Vec<_>>().join(", ");
    ReadError::Columns { format: mapping.name().to_owned(), missing, remedy }
}

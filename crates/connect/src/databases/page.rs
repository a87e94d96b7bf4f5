//! Pages of a table as the engines read them.

use super::error::SourceError;
use super::table::{TableColumn, TableSchema, quote};
use super::value::{LocalZone, ValueKind};

/// Most bytes of the values of one page, except that a page has at least two rows. A table of long texts gets shorter pages.
pub(super) const PAGE_MAX_BYTES: usize = 32 << 20;

/// Columns to read, and the order of pages.
#[derive(Debug)]
pub(super) struct PageQuery {
    pub(super) table: TableSchema,
    pub(super) columns: Vec<(TableColumn, ValueKind)>,
    /// Column that says when a row last changed; `None` if the key alone orders the pages.
    pub(super) version: Option<(TableColumn, ValueKind)>,
    pub(super) key: (TableColumn, ValueKind),
    pub(super) zone: LocalZone,
}

/// Start of a page, as the database prints the values.
#[derive(Clone, Copy, Debug)]
pub(super) enum PageStart<'a> {
    /// First row of the table.
    First,
    /// First row with this version or a newer one.
    Since { version: &'a str },
    /// First row after this one.
    After { version: Option<&'a str>, key: &'a str },
}

/// Row as it was fetched.
#[derive(Debug)]
pub(super) struct FetchedRow {
    /// Values in one spelling, in the order of the columns.
    pub(super) values: Vec<Option<Box<str>>>,
    /// Version as the database prints it; empty without a version column.
    pub(super) version: Box<str>,
    /// Key as the database prints it.
    pub(super) key: Box<str>,
}

/// Rows of a page.
#[derive(Debug, Default)]
pub(super) struct FetchedPage {
    pub(super) rows: Vec<FetchedRow>,
    /// Whether the page ended at its limit of bytes.
    pub(super) is_cut: bool,
    bytes: usize,
}

impl FetchedPage {
    /// Adds a row, and returns whether there is space for another one.
    pub(super) fn push(&mut self, row: FetchedRow) -> bool {
        self.bytes += row.values.iter().flatten().map(|value| value.len()).sum::<usize>();
        self.rows.push(row);
        self.is_cut = self.bytes > PAGE_MAX_BYTES && self.rows.len() >= 2;
        !self.is_cut
    }
}

impl PageQuery {
    /// Returns the ordering columns, quoted: version, then key.
    pub(super) fn order(&self, mark: char) -> String {
        let columns = self.version.iter().chain([&self.key]);
        let names: Vec<String> = columns.map(|(column, _)| qualified(column, mark)).collect();
        names.join(", ")
    }

    /// Returns the quoted name of the table with its schema, and its alias.
    pub(super) fn from(&self, mark: char) -> String {
        format!("{} AS source", self.table.quoted(mark))
    }

    /// Failure to read a value of this column; the ordering columns follow the others.
    pub(super) fn value_error(
        &self,
        index: usize,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> SourceError {
        let order = self.version.iter().chain([&self.key]);
        let column = self.columns.iter().chain(order).nth(index).map(|(column, _)| column.name.clone());
        SourceError::Value { table: self.table.name.to_string(), column: column.unwrap_or_default(), source }
    }
}

/// Quotes a column with the table's alias. `ORDER BY id` alone would mean the column of the result, which is text: 10 before 9.
pub(super) fn qualified(column: &TableColumn, mark: char) -> String {
    format!("source.{}", quote(&column.name, mark))
}

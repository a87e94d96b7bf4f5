//! Tables and their columns, as the catalogue of the database knows them.

use super::error::SourceError;
use super::value::ValueKind;
use std::fmt;

/// Name of a table: its schema (of MySQL: its database) and its own name. Both may hold any character; they are compared with the
/// catalogue and quoted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableName {
    /// Schema; `None` is the first of the search path, or the database of the URL.
    pub schema: Option<String>,
    /// Name within the schema.
    pub table: String,
}

impl TableName {
    /// Names a table of a schema. Without one it is the first schema of the search path, or the database of the URL.
    #[must_use]
    pub fn new(schema: Option<&str>, table: &str) -> Self {
        Self { schema: schema.map(str::to_owned), table: table.to_owned() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(formatter, "{schema}.")?;
        }
        formatter.write_str(&self.table)
    }
}

/// Column as the catalogue describes it.
#[derive(Clone, Debug)]
pub(super) struct TableColumn {
    pub(super) name: String,
    /// Type as the database names it.
    pub(super) data_type: String,
    /// Type as SQL, quoted, for a cast of a parameter; empty for MySQL.
    pub(super) cast: String,
    /// `None` if values have no text.
    pub(super) kind: Option<ValueKind>,
    pub(super) is_nullable: bool,
}

/// Table as the catalogue describes it, with its schema.
#[derive(Clone, Debug)]
pub(super) struct TableSchema {
    /// Name as requested.
    pub(super) name: TableName,
    /// Schema that holds it.
    pub(super) schema: String,
    pub(super) columns: Vec<TableColumn>,
}

impl TableSchema {
    /// Returns the quoted name with its schema.
    pub(super) fn quoted(&self, mark: char) -> String {
        format!("{}.{}", quote(&self.schema, mark), quote(&self.name.table, mark))
    }

    /// Finds a column.
    pub(super) fn column(&self, name: &str) -> Result<&TableColumn, SourceError> {
        self.columns.iter().find(|column| column.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.columns.iter().take(20).map(|column| column.name.as_str()).collect();
            SourceError::UnknownColumn {
                table: self.name.to_string(),
                column: name.to_owned(),
                known: known.join(", "),
            }
        })
    }

    /// Finds the columns to read: the named ones, or all. Each must have a text.
    pub(super) fn readable(
        &self,
        names: Option<&[String]>,
    ) -> Result<Vec<(TableColumn, ValueKind)>, SourceError> {
        let columns: Vec<&TableColumn> = match names {
            Some(names) => names.iter().map(|name| self.column(name)).collect::<Result<_, _>>()?,
            None => self.columns.iter().collect(),
        };
        columns.into_iter().map(|column| Ok((column.clone(), self.kind(column)?))).collect()
    }

    /// Returns the kind of a column whose values have a text.
    pub(super) fn kind(&self, column: &TableColumn) -> Result<ValueKind, SourceError> {
        column.kind.ok_or_else(|| SourceError::BinaryColumn {
            table: self.name.to_string(),
            column: column.name.clone(),
            data_type: column.data_type.clone(),
        })
    }

    /// Refuses a column that cannot order pages.
    pub(super) fn check_order(&self, column: &TableColumn, is_key: bool) -> Result<ValueKind, SourceError> {
        let kind = self.kind(column)?;
        let (is_ordered, remedy) = match kind {
            ValueKind::Integer
            | ValueKind::Decimal
            | ValueKind::Date
            | ValueKind::Instant
            | ValueKind::LocalTime => (true, ""),
            ValueKind::Text | ValueKind::Padded => (is_key, "a column of times or numbers"),
            // A double that was printed and read again may not compare equal in every engine.
            ValueKind::Float | ValueKind::Boolean | ValueKind::Bits => {
                (false, "a column of whole numbers, decimals, times or text")
            }
        };
        if is_ordered {
            return Ok(kind);
        }
        Err(SourceError::OrderColumn {
            table: self.name.to_string(),
            column: column.name.clone(),
            data_type: column.data_type.clone(),
            remedy,
        })
    }
}

/// Quotes an identifier: `"` for PostgreSQL, a backtick for MySQL.
pub(super) fn quote(name: &str, mark: char) -> String {
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push(mark);
    for letter in name.chars() {
        if letter == mark {
            quoted.push(mark);
        }
        quoted.push(letter);
    }
    quoted.push(mark);
    quoted
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn identifiers_are_quoted_with_their_quotes_doubled() {
        assert_eq!(quote("a\"b; DROP", '"'), "\"a\"\"b; DROP\"");
        assert_eq!(quote("a`b", '`'), "`a``b`");
    }
}

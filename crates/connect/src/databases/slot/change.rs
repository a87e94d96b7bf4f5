//! Changes as they are handed out.

use super::super::error::SourceError;
use super::super::postgres::PostgresSession;
use super::super::table::{TableName, TableSchema};
use super::super::value::{LocalZone, ValueKind, spell};
use super::server;
use super::text::{ChangeLine, RawColumn, RawValue};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Position in the log of PostgreSQL, in bytes. It is printed as the server does, as in `16/B374D848`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lsn(pub(super) u64);

impl fmt::Display for Lsn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl FromStr for Lsn {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let half = |digits: &str| u32::from_str_radix(digits, 16).ok();
        text.split_once('/')
            .and_then(|(high, low)| Some(Self(u64::from(half(high)?) << 32 | u64::from(half(low)?))))
            .ok_or_else(|| SourceError::Changes {
                reason: format!("{text:?} is no position such as 16/B374D848"),
            })
    }
}

/// Table whose changes are handed out.
#[derive(Clone, Debug)]
pub struct ChangedTable {
    /// Table; of a partitioned table its partitions are named.
    pub name: TableName,
    /// Columns to hand out; all by default.
    pub columns: Option<Vec<String>>,
}

/// Kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A new row.
    Insert,
    /// New values of a row.
    Update,
    /// A row is gone.
    Delete,
    /// All rows of the table are gone.
    Truncate,
}

/// Column of a change with its value, spelled as in [`TableRow`](crate::databases::TableRow).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedColumn {
    /// Name of the column.
    pub name: Box<str>,
    /// Value; `None` is NULL.
    pub value: Option<Box<str>>,
}

/// Change of a row. Table, key and `lsn` identify it: it has the same ones whenever it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotChange {
    /// Table with its schema.
    pub table: Arc<TableName>,
    /// Kind of the change.
    pub kind: ChangeKind,
    /// New values of an insert or update. Of a delete those of the replica identity: the primary key, or all that were not NULL.
    pub columns: Vec<ChangedColumn>,
    /// Replica identity before an update; empty unless the update changed it, or it is all columns.
    pub old_key: Vec<ChangedColumn>,
    /// Columns of an update whose large values did not change and are not in the log.
    pub unchanged: Vec<Box<str>>,
    /// Position of the change: its version.
    pub lsn: Lsn,
}

impl SlotChange {
    /// Returns the value of a column; `None` if it is NULL or not in the change.
    #[must_use]
    pub fn value(&self, column: &str) -> Option<&str> {
        self.columns.iter().find(|found| *found.name == *column)?.value.as_deref()
    }
}

/// Changes in the order of commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotBatch {
    /// Changes, at most as many as configured.
    pub changes: Vec<SlotChange>,
    /// Position to pass to [`SlotChanges::advance`](crate::databases::SlotChanges::advance) once the changes of this and all earlier
    /// batches are acknowledged; `None` within a transaction.
    pub advance_to: Option<Lsn>,
}

/// Tables and columns that are handed out.
#[derive(Debug)]
pub(super) struct TableFilter {
    tables: Vec<WatchedTable>,
    zone: LocalZone,
}

#[derive(Debug)]
struct WatchedTable {
    name: Arc<TableName>,
    schema: TableSchema,
    /// Columns to hand out; all if `None`.
    columns: Option<Vec<String>>,
}

impl TableFilter {
    /// Checks the tables: they exist, their columns have text, and their deletes name the row.
    pub(super) async fn open(
        session: &mut PostgresSession,
        tables: &[ChangedTable],
        zone: LocalZone,
    ) -> Result<Self, SourceError> {
        let mut watched = Vec::with_capacity(tables.len());
        for table in tables {
            let schema = session.table(&table.name).await?;
            if schema.columns.is_empty() {
                return Err(SourceError::UnknownTable { table: table.name.to_string() });
            }
            schema.readable(table.columns.as_deref())?;
            server::check_identity(session.client(), &schema).await?;
            let name = Arc::new(TableName::new(Some(&schema.schema), &table.name.table));
            watched.push(WatchedTable { name, schema, columns: table.columns.clone() });
        }
        Ok(Self { tables: watched, zone })
    }

    /// Hands out a truncation for each watched table.
    pub(super) fn truncated(&self, tables: &[(String, String)], lsn: Lsn) -> Vec<SlotChange> {
        let watched = tables.iter().filter_map(|(schema, table)| self.watched(schema, table));
        watched
            .map(|table| SlotChange {
                table: Arc::clone(&table.name),
                kind: ChangeKind::Truncate,
                columns: Vec::new(),
                old_key: Vec::new(),
                unchanged: Vec::new(),
                lsn,
            })
            .collect()
    }

    /// Hands out a change of a watched table.
    pub(super) fn change(&self, line: ChangeLine<'_>, lsn: Lsn) -> Result<Option<SlotChange>, SourceError> {
        let Some(table) = self.watched(&line.schema, &line.table) else { return Ok(None) };
        let mut unchanged = Vec::new();
        let columns = self.columns(table, line.columns, &mut unchanged)?;
        let old_key = self.columns(table, line.old_key, &mut Vec::new())?;
        Ok(Some(SlotChange {
            table: Arc::clone(&table.name),
            kind: line.kind,
            columns,
            old_key,
            unchanged,
            lsn,
        }))
    }

    fn watched(&self, schema: &str, table: &str) -> Option<&WatchedTable> {
        self.tables.iter().find(|watched| watched.schema.schema == schema && watched.name.table == table)
    }

    fn columns(
        &self,
        table: &WatchedTable,
        columns: Vec<RawColumn<'_>>,
        unchanged: &mut Vec<Box<str>>,
    ) -> Result<Vec<ChangedColumn>, SourceError> {
        let mut found = Vec::with_capacity(columns.len());
        for column in columns {
            let is_wanted = table.columns.as_ref().is_none_or(|wanted| wanted.contains(&column.name));
            if !is_wanted {
                continue;
            }
            let kind = table.kind(&column)?;
            let value = match column.value {
                RawValue::Null => None,
                RawValue::Text(text) => Some(spell(kind, &text, &self.zone)),
                RawValue::Unchanged => {
                    unchanged.push(column.name.into());
                    continue;
                }
            };
            found.push(ChangedColumn { name: column.name.into(), value });
        }
        Ok(found)
    }
}

impl WatchedTable {
    /// Returns the kind of a column, by the type in the log: the table may have changed since its catalogue was read. The catalogue knows
    /// what domains are made of.
    fn kind(&self, column: &RawColumn<'_>) -> Result<ValueKind, SourceError> {
        let known = match column.data_type {
            "smallint" | "integer" | "bigint" | "oid" => Some(ValueKind::Integer),
            "numeric" => Some(ValueKind::Decimal),
            "real" | "double precision" => Some(ValueKind::Float),
            "boolean" => Some(ValueKind::Boolean),
            "character" => Some(ValueKind::Padded),
            "date" => Some(ValueKind::Date),
            "timestamp with time zone" => Some(ValueKind::Instant),
            "timestamp without time zone" => Some(ValueKind::LocalTime),
            "bytea" | "bytea[]" | "money" | "money[]" => None,
            _ => self.schema.column(&column.name).map_or(Some(ValueKind::Text), |column| column.kind),
        };
        known.ok_or_else(|| SourceError::BinaryColumn {
            table: self.schema.name.to_string(),
            column: column.name.clone(),
            data_type: column.data_type.to_owned(),
        })
    }
}

//! Tables of a slot whose changes are handed out: the log holds those of all tables.

use super::super::error::SourceError;
use super::super::postgres::PostgresSession;
use super::super::table::{TableName, TableSchema};
use super::super::value::{LocalZone, ValueKind, spell};
use super::change::{ChangeKind, ChangedColumn, ChangedTable, Lsn, SlotChange};
use super::server;
use super::text::{ChangeLine, RawColumn, RawValue};
use std::sync::Arc;

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

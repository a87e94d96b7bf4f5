//! Tables of the binary log: which are read, and what their values mean.

use super::super::error::SourceError;
use super::super::slot::{ChangeKind, ChangedColumn};
use super::super::table::TableName;
use super::super::value::LocalZone;
use super::change::{BinlogChange, BinlogPosition};
use super::coding::Coding;
use super::options::BinlogOptions;
use mysql_async::Conn;
use mysql_async::binlog::events::{OptionalMetadataField, RowsEventData, TableMapEvent};
use mysql_async::binlog::row::BinlogRow;
use mysql_async::binlog::value::BinlogValue;
use mysql_async::prelude::Queryable;
use std::sync::Arc;

/// Types and character sets of columns that are text in the log.
const COLUMNS: &str = "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR), CAST(column_type AS CHAR), \
    CAST(character_set_name AS CHAR) FROM information_schema.columns \
    WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? ORDER BY ordinal_position";

/// Tables whose changes are handed out.
pub(super) struct BinlogTables {
    tables: Vec<BinlogTable>,
    zone: LocalZone,
}

struct BinlogTable {
    name: Arc<TableName>,
    columns: Vec<BinlogColumn>,
}

/// Column that is handed out.
struct BinlogColumn {
    name: Box<str>,
    coding: Coding,
}

impl BinlogTables {
    /// Checks the tables: they exist, and the log holds their columns as text.
    pub(super) async fn open(
        connection: &mut Conn,
        options: &BinlogOptions,
        zone: LocalZone,
    ) -> Result<Self, SourceError> {
        let mut tables = Vec::with_capacity(options.tables.len());
        let database: Option<String> = connection
            .query_first("SELECT DATABASE()")
            .await
            .map_err(SourceError::failed("reading the catalogue"))?;
        for wanted in &options.tables {
            let schema = wanted.name.schema.clone().or_else(|| database.clone());
            let name = TableName { schema, table: wanted.name.table.clone() };
            let columns = columns(connection, &name, wanted.columns.as_deref(), options).await?;
            tables.push(BinlogTable { name: Arc::new(name), columns });
        }
        Ok(Self { tables, zone })
    }

    /// Hands out the rows of an event, if its table is read.
    pub(super) fn changes(
        &self,
        rows: &RowsEventData<'_>,
        map: Option<&TableMapEvent<'_>>,
        at: &BinlogPosition,
    ) -> Result<Vec<BinlogChange>, SourceError> {
        let map = map.ok_or_else(|| {
            SourceError::changes(format!("rows at {at} have no table; delete the source and begin again"))
        })?;
        let Some(table) = self.find(&map.database_name(), &map.table_name()) else { return Ok(Vec::new()) };
        let places = table.places(map, at)?;
        let mut changes = Vec::new();
        for (number, row) in rows.rows(map).enumerate() {
            let images = row.map_err(SourceError::failed("reading the binary log"))?;
            let (kind, image, old) = match images {
                (None, Some(new)) => (ChangeKind::Insert, new, None),
                (Some(old), Some(new)) => (ChangeKind::Update, new, Some(old)),
                (Some(old), None) => (ChangeKind::Delete, old, None),
                (None, None) => continue,
            };
            changes.push(BinlogChange {
                table: Arc::clone(&table.name),
                kind,
                columns: self.values(table, &places, image)?,
                old: old.map_or(Ok(Vec::new()), |old| self.values(table, &places, old))?,
                version: format!("{at}:{number}").into(),
            });
        }
        Ok(changes)
    }

    /// Hands out a truncation, if the table is read.
    pub(super) fn truncated(&self, schema: &str, table: &str, at: &BinlogPosition) -> Option<BinlogChange> {
        let table = self.find(schema, table)?;
        Some(BinlogChange {
            table: Arc::clone(&table.name),
            kind: ChangeKind::Truncate,
            columns: Vec::new(),
            old: Vec::new(),
            version: format!("{at}:0").into(),
        })
    }

    /// Returns whether a statement may concern one of the tables.
    pub(super) fn mentions(&self, query: &str) -> bool {
        let query = query.to_lowercase();
        self.tables.iter().any(|table| query.contains(&table.name.table.to_lowercase()))
    }

    fn find(&self, schema: &str, table: &str) -> Option<&BinlogTable> {
        let mut tables = self.tables.iter();
        tables.find(|found| found.name.schema.as_deref() == Some(schema) && found.name.table == table)
    }

    fn values(
        &self,
        table: &BinlogTable,
        places: &[usize],
        mut row: BinlogRow,
    ) -> Result<Vec<ChangedColumn>, SourceError> {
        let mut values = Vec::with_capacity(places.len());
        for (column, place) in table.columns.iter().zip(places) {
            let value = match row.take(*place) {
                Some(BinlogValue::Value(value)) => column.coding.text(value, &self.zone),
                Some(BinlogValue::Jsonb(_) | BinlogValue::JsonDiff(_)) | None => Err(()),
            };
            let value = value.map_err(|()| SourceError::Value {
                table: table.name.to_string(),
                column: column.name.to_string(),
                source: None,
            })?;
            values.push(ChangedColumn { name: column.name.clone(), value });
        }
        Ok(values)
    }
}

impl BinlogTable {
    /// Finds the columns by their names in the log, because the table may have changed since.
    fn places(&self, map: &TableMapEvent<'_>, at: &BinlogPosition) -> Result<Vec<usize>, SourceError> {
        let mut names: Vec<String> = Vec::new();
        for field in map.iter_optional_meta() {
            if let OptionalMetadataField::ColumnName(found) =
                field.map_err(SourceError::failed("reading the binary log"))?
            {
                for name in found.iter_names() {
                    names.push(
                        name.map_err(SourceError::failed("reading the binary log"))?.name().into_owned(),
                    );
                }
            }
        }
        let place = |column: &BinlogColumn| {
            names.iter().position(|name| **name == *column.name).ok_or_else(|| {
                SourceError::changes(format!(
                    "rows of {} at {at} have no column {:?}; set binlog_row_metadata = FULL on the server, or leave it out of \
                     `columns`",
                    self.name, column.name
                ))
            })
        };
        self.columns.iter().map(place).collect()
    }
}

/// Reads the columns to hand out from the catalogue.
async fn columns(
    connection: &mut Conn,
    table: &TableName,
    wanted: Option<&[String]>,
    options: &BinlogOptions,
) -> Result<Vec<BinlogColumn>, SourceError> {
    let found: Vec<(String, String, String, Option<String>)> = connection
        .exec(COLUMNS, (&table.schema, &table.table))
        .await
        .map_err(SourceError::failed("reading the catalogue"))?;
    if found.is_empty() {
        return Err(SourceError::UnknownTable { table: table.to_string() });
    }
    let absent = wanted.and_then(|names| names.iter().find(|&name| !found.iter().any(|row| row.0 == *name)));
    if let Some(column) = absent {
        let known = found.iter().take(20).map(|row| row.0.as_str()).collect::<Vec<_>>().join(", ");
        return Err(SourceError::UnknownColumn { table: table.to_string(), column: column.clone(), known });
    }
    let is_wanted = |name: &String| wanted.is_none_or(|names| names.contains(name));
    let mut columns = Vec::with_capacity(found.len());
    for (name, data_type, column_type, charset) in &found {
        if !is_wanted(name) {
            continue;
        }
        let coding = Coding::of(data_type, column_type, charset.as_deref(), options.tinyint1_is_boolean);
        let coding = coding.ok_or_else(|| SourceError::BinaryColumn {
            table: table.to_string(),
            column: name.clone(),
            data_type: format!("{column_type} {}", charset.as_deref().unwrap_or_default())
                .trim_end()
                .to_owned(),
        })?;
        columns.push(BinlogColumn { name: name.as_str().into(), coding });
    }
    Ok(columns)
}

//! Session of MySQL and MariaDB. Values come by the binary protocol, because the text of a `FLOAT` has six digits only.

mod value;

pub(super) use value::printed;

use super::error::SourceError;
use super::login::Login;
use super::page::{FetchedPage, FetchedRow, PageQuery, PageStart, qualified};
use super::table::{TableColumn, TableName, TableSchema, quote};
use super::tls::trusted_roots;
use super::value::{ValueKind, spell};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, SslOpts, Value};
use std::fmt::Write as _;
use value::parameter;

/// Settings that decide what is sent: times in UTC, no writes, quotes of identifiers as we write them.
const SETTINGS: [&str; 4] = [
    "SET NAMES utf8mb4",
    "SET time_zone = '+00:00'",
    "SET SESSION sql_mode = ''",
    "SET SESSION TRANSACTION READ ONLY",
];

/// Columns of a table, as far as the user may read them.
const COLUMNS: &str = "SELECT CAST(table_schema AS CHAR), CAST(column_name AS CHAR), CAST(data_type AS CHAR), \
    CAST(column_type AS CHAR), CAST(is_nullable AS CHAR) FROM information_schema.columns \
    WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? ORDER BY ordinal_position";

/// Session of MySQL or MariaDB.
#[derive(Debug)]
pub(super) struct MySqlSession {
    connection: Conn,
}

impl MySqlSession {
    /// Connects to the checked address and logs in. Without a handler of local files the driver refuses `LOAD DATA LOCAL INFILE`,
    /// so that a server cannot read files of this machine.
    pub(super) async fn connect(login: &Login<'_>) -> Result<Self, SourceError> {
        let mut options = OptsBuilder::default()
            .ip_or_hostname(login.url.host())
            .resolved_ips(Some(vec![login.address.ip()]))
            .tcp_port(login.url.port())
            .user(Some(login.url.user()))
            .pass(login.password.map(super::password::Password::reveal))
            .db_name(Some(login.url.database()))
            .prefer_socket(false)
            .setup(SETTINGS.map(str::to_owned).to_vec());
        if login.needs_tls() {
            let roots = trusted_roots(login.options.ca_file.as_deref())?;
            let roots = roots.into_iter().map(|root| root.to_vec().into()).collect();
            options =
                options.ssl_opts(SslOpts::default().with_disable_built_in_roots(true).with_root_certs(roots));
        }
        Ok(Self { connection: Conn::new(options).await.map_err(|error| login.failed(error))? })
    }

    /// Returns the connection, for the binary log.
    pub(super) fn into_connection(self) -> Conn {
        self.connection
    }

    /// Reads the columns of a table; none if the user may read none.
    pub(super) async fn table(
        &mut self,
        name: &TableName,
        tinyint1_is_boolean: bool,
    ) -> Result<TableSchema, SourceError> {
        type ColumnRow = (String, String, String, String, String);
        let rows: Vec<ColumnRow> = self
            .connection
            .exec(COLUMNS, (&name.schema, &name.table))
            .await
            .map_err(SourceError::failed("reading the catalogue"))?;
        let schema = rows.first().map(|row| row.0.clone()).unwrap_or_default();
        let columns = rows.into_iter().map(|(_, name, data_type, column_type, is_nullable)| TableColumn {
            name,
            cast: String::new(),
            kind: if tinyint1_is_boolean && column_type.starts_with("tinyint(1)") {
                Some(ValueKind::Boolean)
            } else {
                kind_of(&data_type, &column_type)
            },
            data_type: column_type,
            is_nullable: is_nullable == "YES",
        });
        Ok(TableSchema { name: name.clone(), schema, columns: columns.collect() })
    }

    /// Reads a page.
    pub(super) async fn page(
        &mut self,
        query: &PageQuery,
        start: PageStart<'_>,
        rows: usize,
    ) -> Result<FetchedPage, SourceError> {
        let sql = page_sql(query, start, rows);
        let mut result = self
            .connection
            .exec_iter(sql, parameters(query, start))
            .await
            .map_err(SourceError::failed("reading a page"))?;
        let mut page = FetchedPage::default();
        while let Some(row) = result.next().await.map_err(SourceError::failed("reading a page"))? {
            if !page.push(fetched(query, row)?) {
                break;
            }
        }
        result.drop_result().await.map_err(SourceError::failed("reading a page"))?;
        Ok(page)
    }

    /// Returns whether a column is NULL in some row.
    pub(super) async fn has_nulls(&mut self, table: &TableSchema, column: &str) -> Result<bool, SourceError> {
        let (table, column) = [table.quoted('`'), quote(column, '`')].into();
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {column} IS NULL)");
        let found: Option<bool> = self
            .connection
            .query_first(sql)
            .await
            .map_err(SourceError::failed("looking for rows without an order"))?;
        Ok(found.unwrap_or(false))
    }

    /// Returns the server's clock in UTC.
    pub(super) async fn now(&mut self) -> Result<String, SourceError> {
        let now: Option<String> = self
            .connection
            .query_first("SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)")
            .await
            .map_err(SourceError::failed("reading the clock"))?;
        Ok(now.unwrap_or_default())
    }
}

/// Returns the kind of a type of the catalogue; `None` if its values have no text.
pub(super) fn kind_of(data_type: &str, column_type: &str) -> Option<ValueKind> {
    match data_type {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => Some(ValueKind::Integer),
        "decimal" => Some(ValueKind::Decimal),
        "float" | "double" => Some(ValueKind::Float),
        "bit" if column_type == "bit(1)" => Some(ValueKind::Boolean),
        "bit" => Some(ValueKind::Bits),
        "date" => Some(ValueKind::Date),
        "timestamp" => Some(ValueKind::Instant),
        "datetime" => Some(ValueKind::LocalTime),
        "time" | "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "json" | "enum"
        | "set" | "uuid" | "inet4" | "inet6" => Some(ValueKind::Text),
        // Blobs, binary strings, geometries, and types of the future.
        _ => None,
    }
}

/// Writes the statement of a page. MySQL finds no range of an index for `(a, b) > (?, ?)`, so that it is written out.
fn page_sql(query: &PageQuery, start: PageStart<'_>, rows: usize) -> String {
    let columns: Vec<String> = query
        .columns
        .iter()
        .chain(&query.version)
        .chain([&query.key])
        .map(|(column, _)| qualified(column, '`'))
        .collect();
    let key = qualified(&query.key.0, '`');
    let (version_column, version_kind) = query.version.as_ref().unwrap_or(&query.key);
    let version = qualified(version_column, '`');
    let (version_value, key_value) = [*version_kind, query.key.1].map(placeholder).into();
    let mut sql = format!("SELECT {} FROM {}", columns.join(", "), query.from('`'));
    // Writing to a string cannot fail.
    let _ = match start {
        PageStart::First => Ok(()),
        PageStart::Since { .. } => write!(sql, " WHERE {version} >= {version_value}"),
        PageStart::After { version: Some(_), .. } => write!(
            sql,
            " WHERE ({version} = {version_value} AND {key} > {key_value}) OR {version} > {version_value}"
        ),
        PageStart::After { version: None, .. } => write!(sql, " WHERE {key} > {key_value}"),
    };
    let _ = write!(sql, " ORDER BY {} LIMIT {rows}", query.order('`'));
    sql
}

/// Returns the placeholder of a parameter. A decimal arrives as text, which MySQL would compare as a double, of 15 digits.
fn placeholder(kind: ValueKind) -> &'static str {
    if kind == ValueKind::Decimal { "CAST(? AS DECIMAL(65, 30))" } else { "?" }
}

/// Lists the parameters of the statement.
fn parameters(query: &PageQuery, start: PageStart<'_>) -> Vec<Value> {
    let version_kind = query.version.as_ref().map_or(query.key.1, |(_, kind)| *kind);
    match start {
        PageStart::First => Vec::new(),
        PageStart::Since { version } => vec![parameter(version_kind, version)],
        PageStart::After { version: Some(version), key } => {
            let version = parameter(version_kind, version);
            vec![version.clone(), parameter(query.key.1, key), version]
        }
        PageStart::After { version: None, key } => vec![parameter(query.key.1, key)],
    }
}

/// Converts a row.
fn fetched(query: &PageQuery, row: Row) -> Result<FetchedRow, SourceError> {
    let kinds = query.columns.iter().chain(&query.version).chain([&query.key]).map(|(_, kind)| *kind);
    let mut texts: Vec<Option<String>> = Vec::with_capacity(row.len());
    for (index, (value, kind)) in row.unwrap().into_iter().zip(kinds).enumerate() {
        texts.push(printed(kind, value).map_err(|error| query.value_error(index, Some(error.into())))?);
    }
    let key = texts.pop().flatten().unwrap_or_default();
    let version =
        if query.version.is_some() { texts.pop().flatten().unwrap_or_default() } else { String::new() };
    let spelled = texts.into_iter().zip(&query.columns).map(|(text, (_, kind))| {
        text.map(|text| match kind {
            ValueKind::Instant | ValueKind::LocalTime | ValueKind::Decimal => {
                spell(*kind, &text, &query.zone)
            }
            _ => text.into(),
        })
    });
    Ok(FetchedRow { values: spelled.collect(), version: version.into(), key: key.into() })
}

//! Session of PostgreSQL. Values come as text, cast by the server, whose types print exactly.

use super::error::SourceError;
use super::login::Login;
use super::page::{FetchedPage, FetchedRow, PageQuery, PageStart, qualified};
use super::table::{TableColumn, TableName, TableSchema, quote};
use super::tls::PostgresTls;
use super::value::{ValueKind, spell};
use futures::TryStreamExt;
use std::fmt::Write as _;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

/// Settings that decide how values are printed.
const SETTINGS: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; \
    SET extra_float_digits = 1; SET client_encoding = 'UTF8'";

/// Columns of a table, as far as the user may read them. Domains are listed with the types they are made of.
const COLUMNS: &str = "SELECT table_schema::text, column_name::text, udt_schema::text, udt_name::text, is_nullable::text \
    FROM information_schema.columns \
    WHERE table_schema = COALESCE($1::text, current_schema()) AND table_name = $2::text ORDER BY ordinal_position";

/// Session of PostgreSQL.
pub(super) struct PostgresSession {
    client: Client,
    /// Newest statement of a page with its text: pages repeat it.
    prepared: Option<(String, Statement)>,
    /// Task that moves bytes between client and socket; it ends with the session.
    _driver: JoinSet<()>,
}

impl std::fmt::Debug for PostgresSession {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PostgresSession")
    }
}

impl PostgresSession {
    /// Connects to the checked address and logs in.
    pub(super) async fn connect(login: &Login<'_>) -> Result<Self, SourceError> {
        let mut config = Config::new();
        config.user(login.url.user()).dbname(login.url.database()).application_name("portrait");
        if let Some(password) = login.password {
            config.password(password.reveal());
        }
        let stream = TcpStream::connect(login.address).await.map_err(|error| login.failed(error))?;
        stream.set_nodelay(true).map_err(|error| login.failed(error))?;
        if login.needs_tls() {
            let tls = PostgresTls::new(login.url.host(), login.options.ca_file.as_deref())?;
            config.ssl_mode(SslMode::Require);
            Self::log_in(login, &config, stream, tls).await
        } else {
            config.ssl_mode(SslMode::Disable);
            Self::log_in(login, &config, stream, NoTls).await
        }
    }

    async fn log_in<T>(
        login: &Login<'_>,
        config: &Config,
        stream: TcpStream,
        tls: T,
    ) -> Result<Self, SourceError>
    where
        T: TlsConnect<TcpStream>,
        T::Stream: TlsStream + AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (client, connection) =
            config.connect_raw(stream, tls).await.map_err(|error| login.failed(error))?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // A failure reaches the caller as the failure of its statement.
            let _ = connection.await;
        });
        client.batch_execute(SETTINGS).await.map_err(|error| login.failed(error))?;
        Ok(Self { client, prepared: None, _driver: driver })
    }

    /// Returns the client, for statements of the replication slot.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Reads the columns of a table; none if the user may read none.
    pub(super) async fn table(&mut self, name: &TableName) -> Result<TableSchema, SourceError> {
        let rows = self
            .client
            .query(COLUMNS, &[&name.schema, &name.table])
            .await
            .map_err(SourceError::failed("reading the catalogue"))?;
        let text = |row: &Row, index| row.get::<_, Option<String>>(index).unwrap_or_default();
        let columns = rows.iter().map(|row| TableColumn {
            name: text(row, 1),
            cast: format!("{}.{}", quote(&text(row, 2), '"'), quote(&text(row, 3), '"')),
            kind: kind_of(&text(row, 3)),
            data_type: text(row, 3),
            is_nullable: text(row, 4) == "YES",
        });
        let schema = rows.first().map(|row| text(row, 0)).unwrap_or_default();
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
        let statement = match &self.prepared {
            Some((text, statement)) if *text == sql => statement.clone(),
            _ => {
                let statement =
                    self.client.prepare(&sql).await.map_err(SourceError::failed("reading a page"))?;
                self.prepared = Some((sql, statement.clone()));
                statement
            }
        };
        let parameters = match start {
            PageStart::First => Vec::new(),
            PageStart::Since { version } => vec![version],
            PageStart::After { version, key } => version.into_iter().chain([key]).collect(),
        };
        let mut stream = pin!(
            self.client
                .query_raw(&statement, parameters)
                .await
                .map_err(SourceError::failed("reading a page"))?
        );
        let mut page = FetchedPage::default();
        while let Some(row) = stream.try_next().await.map_err(SourceError::failed("reading a page"))? {
            if !page.push(fetched(query, &row)?) {
                break;
            }
        }
        Ok(page)
    }

    /// Returns whether a column is NULL in some row.
    pub(super) async fn has_nulls(&mut self, table: &TableSchema, column: &str) -> Result<bool, SourceError> {
        let (table, column) = [table.quoted('"'), quote(column, '"')].into();
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {column} IS NULL)");
        let row = self.client.query_one(&sql, &[]).await;
        Ok(row.map_err(SourceError::failed("looking for rows without an order"))?.get(0))
    }

    /// Returns the server's clock in UTC.
    pub(super) async fn now(&mut self) -> Result<String, SourceError> {
        let row = self.client.query_one("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::text", &[]).await;
        Ok(row.map_err(SourceError::failed("reading the clock"))?.get(0))
    }
}

/// Returns the kind of a type of the catalogue; `None` if its values have no text.
pub(super) fn kind_of(udt_name: &str) -> Option<ValueKind> {
    match udt_name {
        // Money is printed by the rules of a country; a cast to numeric in a view says which number is meant.
        "bytea" | "_bytea" | "money" | "_money" => None,
        "int2" | "int4" | "int8" | "oid" => Some(ValueKind::Integer),
        "numeric" => Some(ValueKind::Decimal),
        "float4" | "float8" => Some(ValueKind::Float),
        "bool" => Some(ValueKind::Boolean),
        "bpchar" => Some(ValueKind::Padded),
        "date" => Some(ValueKind::Date),
        "timestamptz" => Some(ValueKind::Instant),
        "timestamp" => Some(ValueKind::LocalTime),
        _ => Some(ValueKind::Text),
    }
}

/// Writes the statement of a page. The number of rows is part of it, so that the planner knows that an index is worth it.
fn page_sql(query: &PageQuery, start: PageStart<'_>, rows: usize) -> String {
    let mut sql = "SELECT ".to_owned();
    let order = query.order('"');
    for (column, _) in query.columns.iter().chain(&query.version).chain([&query.key]) {
        // Writing to a string cannot fail.
        let _ = write!(sql, "{}::text, ", qualified(column, '"'));
    }
    sql.truncate(sql.len() - 2);
    let _ = write!(sql, " FROM {}", query.from('"'));
    let casts: Vec<&str> =
        query.version.iter().chain([&query.key]).map(|(column, _)| &*column.cast).collect();
    let key = casts.last().copied().unwrap_or_default();
    let _ = match start {
        PageStart::First => Ok(()),
        PageStart::Since { .. } => {
            let (version, _) = query.version.as_ref().unwrap_or(&query.key);
            write!(sql, " WHERE {} >= $1::text::{}", qualified(version, '"'), casts[0])
        }
        PageStart::After { version: Some(_), .. } => {
            write!(sql, " WHERE ({order}) > ($1::text::{}, $2::text::{key})", casts[0])
        }
        PageStart::After { version: None, .. } => write!(sql, " WHERE {order} > $1::text::{key}"),
    };
    let _ = write!(sql, " ORDER BY {order} LIMIT {rows}");
    sql
}

/// Converts a row.
fn fetched(query: &PageQuery, row: &Row) -> Result<FetchedRow, SourceError> {
    let text = |index: usize| {
        row.try_get::<_, Option<&str>>(index).map_err(|error| query.value_error(index, Some(error.into())))
    };
    let mut values = Vec::with_capacity(query.columns.len());
    for (index, (_, kind)) in query.columns.iter().enumerate() {
        values.push(text(index)?.map(|text| spell(*kind, text, &query.zone)));
    }
    let order = query.columns.len();
    let version = if query.version.is_some() { text(order)?.unwrap_or_default() } else { "" };
    let key = text(order + usize::from(query.version.is_some()))?.unwrap_or_default();
    Ok(FetchedRow { values, version: version.into(), key: key.into() })
}

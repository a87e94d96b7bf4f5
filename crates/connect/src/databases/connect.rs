//! Connections to databases.

use super::error::SourceError;
use super::hosts::AllowedHosts;
use super::mysql::MySqlSession;
use super::page::{FetchedPage, PageQuery, PageStart};
use super::pages::{TableOptions, TablePages, TablePosition};
use super::password::Password;
use super::postgres::PostgresSession;
use super::slot::{SlotChanges, SlotOptions, drop_slot, retained_wal_bytes};
use super::table::{TableName, TableSchema};
use super::url::{DatabaseEngine, DatabaseUrl};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Rules of a connection.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Hosts that may be connected to; any by default. Link-local addresses never are.
    pub allow: AllowedHosts,
    /// Whether loopback needs TLS too. Every other host always does.
    pub requires_tls: bool,
    /// PEM file of trusted certificates; by default those of the operating system are trusted.
    pub ca_file: Option<PathBuf>,
    /// Time limit of resolving, connecting and logging in; 10 s by default.
    pub connect_timeout: Duration,
    /// Time limit of each statement; 5 min by default.
    pub statement_timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            allow: AllowedHosts::any(),
            requires_tls: false,
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(300),
        }
    }
}

/// Connection to a database.
#[derive(Debug)]
pub struct Database {
    server: Server,
    limit: TimeLimit,
}

/// Session of one of the engines.
#[derive(Debug)]
enum Server {
    Postgres(PostgresSession),
    MySql(Box<MySqlSession>),
}

/// Time limit of statements.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimit(pub(super) Duration);

impl TimeLimit {
    /// Waits for a statement at most as long as the limit.
    pub(super) async fn bound<T>(
        self,
        statement: &'static str,
        work: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        tokio::time::timeout(self.0, work)
            .await
            .unwrap_or(Err(SourceError::TimedOut { statement, seconds: self.0.as_secs() }))
    }
}

/// Everything that a driver needs to log in.
pub(super) struct Login<'a> {
    pub(super) url: &'a DatabaseUrl,
    pub(super) password: Option<&'a Password>,
    pub(super) options: &'a ConnectOptions,
    /// Checked address of the host.
    pub(super) address: SocketAddr,
}

impl Login<'_> {
    /// Returns whether the connection must be encrypted.
    pub(super) fn needs_tls(&self) -> bool {
        let is_loopback = self.address.ip().to_canonical().is_loopback();
        !is_loopback || self.options.requires_tls || self.url.requires_tls()
    }

    /// Failure to connect.
    pub(super) fn failed(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SourceError {
        let server = format!("{}:{}", self.url.host(), self.url.port());
        SourceError::Connect { server, source: source.into() }
    }
}

impl Database {
    /// Resolves the host, checks its addresses, and logs in at the first one that answers.
    ///
    /// # Errors
    /// Refusals of the host, failures to read the roots of trust, to connect and to log in, and [`SourceError::TimedOut`].
    pub async fn connect(
        url: &DatabaseUrl,
        password: Option<&Password>,
        options: &ConnectOptions,
    ) -> Result<Self, SourceError> {
        let limit = TimeLimit(options.connect_timeout);
        let server = limit.bound("connecting", Server::connect(url, password, options)).await?;
        Ok(Self { server, limit: TimeLimit(options.statement_timeout) })
    }

    /// Reads a table by pages, from its first row or after a stored position.
    ///
    /// # Errors
    /// [`SourceError::UnknownTable`], [`SourceError::UnknownColumn`], [`SourceError::BinaryColumn`], [`SourceError::OrderColumn`],
    /// [`SourceError::NullOrder`], [`SourceError::TimeZone`], [`SourceError::Position`], and failures of statements.
    pub async fn pages(
        self,
        options: TableOptions,
        position: Option<TablePosition>,
    ) -> Result<TablePages, SourceError> {
        TablePages::open(self, options, position).await
    }

    /// Reads the changes of tables through a replication slot of PostgreSQL, which is created if it is missing.
    ///
    /// # Errors
    /// [`SourceError::Changes`] if the server, the slot or a table is not set up for it, refusals of tables and columns, and failures of
    /// statements.
    pub async fn changes(self, options: SlotOptions) -> Result<SlotChanges, SourceError> {
        match self.server {
            Server::Postgres(session) => SlotChanges::open(session, self.limit, options).await,
            Server::MySql(_) => Err(not_replicating()),
        }
    }

    /// Returns the bytes of log that a PostgreSQL server keeps for a replication slot, as of a source that is paused.
    ///
    /// # Errors
    /// [`SourceError::Changes`] if there is no such slot, and failures of statements.
    pub async fn retained_wal_bytes(&mut self, slot: &str) -> Result<u64, SourceError> {
        let session = self.server.replicating()?;
        let work = retained_wal_bytes(session.client(), slot);
        self.limit.bound("reading the size of the replication slot", work).await
    }

    /// Drops a replication slot of PostgreSQL, as of a source that is deleted. A missing slot is no error.
    ///
    /// # Errors
    /// Failures of statements, also if another reader has the slot open.
    pub async fn drop_slot(&mut self, slot: &str) -> Result<(), SourceError> {
        let session = self.server.replicating()?;
        self.limit.bound("dropping the replication slot", drop_slot(session.client(), slot)).await
    }

    /// Finds a table in the catalogue. `tinyint1_is_boolean` concerns MySQL only.
    pub(super) async fn table(
        &mut self,
        name: &TableName,
        tinyint1_is_boolean: bool,
    ) -> Result<TableSchema, SourceError> {
        const STATEMENT: &str = "reading the catalogue";
        let found = match &mut self.server {
            Server::Postgres(session) => self.limit.bound(STATEMENT, session.table(name)).await,
            Server::MySql(session) => {
                self.limit.bound(STATEMENT, session.table(name, tinyint1_is_boolean)).await
            }
        }?;
        if found.columns.is_empty() {
            return Err(SourceError::UnknownTable { table: name.to_string() });
        }
        Ok(found)
    }

    /// Reads at most `rows` rows after `start`.
    pub(super) async fn page(
        &mut self,
        query: &PageQuery,
        start: PageStart<'_>,
        rows: usize,
    ) -> Result<FetchedPage, SourceError> {
        const STATEMENT: &str = "reading a page";
        match &mut self.server {
            Server::Postgres(session) => self.limit.bound(STATEMENT, session.page(query, start, rows)).await,
            Server::MySql(session) => self.limit.bound(STATEMENT, session.page(query, start, rows)).await,
        }
    }

    /// Returns whether a column is NULL in some row.
    pub(super) async fn has_nulls(&mut self, table: &TableSchema, column: &str) -> Result<bool, SourceError> {
        const STATEMENT: &str = "looking for rows without an order";
        match &mut self.server {
            Server::Postgres(session) => self.limit.bound(STATEMENT, session.has_nulls(table, column)).await,
            Server::MySql(session) => self.limit.bound(STATEMENT, session.has_nulls(table, column)).await,
        }
    }

    /// Returns the server's clock in UTC, as `2024-05-06 07:08:09.123456`.
    pub(super) async fn now(&mut self) -> Result<String, SourceError> {
        const STATEMENT: &str = "reading the clock";
        match &mut self.server {
            Server::Postgres(session) => self.limit.bound(STATEMENT, session.now()).await,
            Server::MySql(session) => self.limit.bound(STATEMENT, session.now()).await,
        }
    }
}

fn not_replicating() -> SourceError {
    let reason = "replication slots are PostgreSQL's; follow the table of MySQL by pages instead".to_owned();
    SourceError::Changes { reason }
}

impl Server {
    /// Returns the session of a server that has replication slots.
    fn replicating(&self) -> Result<&PostgresSession, SourceError> {
        match self {
            Self::Postgres(session) => Ok(session),
            Self::MySql(_) => Err(not_replicating()),
        }
    }

    async fn connect(
        url: &DatabaseUrl,
        password: Option<&Password>,
        options: &ConnectOptions,
    ) -> Result<Self, SourceError> {
        let mut failure = SourceError::Resolve { host: url.host().to_owned(), source: None };
        for address in options.allow.resolve(url.host(), url.port()).await? {
            let login = Login { url, password, options, address };
            let connected = match url.engine() {
                DatabaseEngine::Postgres => PostgresSession::connect(&login).await.map(Self::Postgres),
                DatabaseEngine::MySql => {
                    MySqlSession::connect(&login).await.map(|session| Self::MySql(Box::new(session)))
                }
            };
            match connected {
                Ok(server) => return Ok(server),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

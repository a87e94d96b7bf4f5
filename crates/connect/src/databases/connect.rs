//! Connections to databases.

use super::error::SourceError;
use super::login::{ConnectOptions, Login, TimeLimit};
use super::mysql::MySqlSession;
use super::page::{FetchedPage, PageQuery, PageStart};
use super::password::Password;
use super::postgres::PostgresSession;
use super::table::{TableName, TableSchema};
use super::url::{DatabaseEngine, DatabaseUrl};

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

    /// Returns the session of a server that has replication slots, with the time limit of its statements.
    ///
    /// # Errors
    /// [`SourceError::Changes`] for another engine.
    pub(super) fn replicating(&self) -> Result<(&PostgresSession, TimeLimit), SourceError> {
        match &self.server {
            Server::Postgres(session) => Ok((session, self.limit)),
            Server::MySql(_) => Err(not_replicating()),
        }
    }

    /// As [`Self::replicating`], owned.
    pub(super) fn into_replicating(self) -> Result<(PostgresSession, TimeLimit), SourceError> {
        match self.server {
            Server::Postgres(session) => Ok((session, self.limit)),
            Server::MySql(_) => Err(not_replicating()),
        }
    }

    /// Returns the connection of MySQL or MariaDB, with the time limit of its statements.
    ///
    /// # Errors
    /// [`SourceError::Changes`] for another engine.
    pub(super) fn into_mysql_connection(self) -> Result<(mysql_async::Conn, TimeLimit), SourceError> {
        match self.server {
            Server::MySql(session) => Ok((session.into_connection(), self.limit)),
            Server::Postgres(_) => Err(SourceError::changes(
                "binary logs are MySQL's; open a replication slot of PostgreSQL instead",
            )),
        }
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
    SourceError::changes("replication slots are PostgreSQL's; read the binary log of MySQL instead")
}

impl Server {
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

//! Errors of database sources. None of them carries a password, and each names what to change.

use std::path::PathBuf;

/// Error of a driver, of the network or of a file.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Failure to connect to a database or to read from it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The URL cannot be read. The URL is not repeated, because it may hold a password.
    #[error(
        "database URL: {defect}; write postgres://USER@HOST:PORT/DATABASE or mysql://USER@HOST:PORT/DATABASE"
    )]
    Url {
        /// Part of the URL that is wrong.
        defect: String,
    },
    /// The URL has a password.
    #[error(
        "database URL: it holds a password; remove it and pass the file that holds it with --password-file"
    )]
    PasswordInUrl,
    /// The password cannot be read.
    #[error("--password-file {}: its first line must be the password; check that the file exists and is readable", path.display())]
    PasswordFile {
        /// Path of the file.
        path: PathBuf,
        /// Error of the file system; `None` if the first line is empty or too long.
        #[source]
        source: Option<std::io::Error>,
    },
    /// An entry of the allow list cannot be read.
    #[error(
        "connect.allow: {entry:?} is neither a host name nor an address range; write db.example.com or 10.0.0.0/8"
    )]
    AllowEntry {
        /// Entry as configured.
        entry: String,
    },
    /// The allow list does not hold the host.
    #[error("host {host} is not allowed; add it or its address range to connect.allow")]
    HostNotAllowed {
        /// Host of the URL.
        host: String,
    },
    /// All addresses of the host are link-local, where clouds serve credentials of machines.
    #[error(
        "host {host} is at a link-local address ({address}), which is always refused; name the database's own address"
    )]
    LinkLocal {
        /// Host of the URL.
        host: String,
        /// Refused address.
        address: std::net::IpAddr,
    },
    /// The host's name has no address.
    #[error("host {host} cannot be resolved; check the host of the database URL")]
    Resolve {
        /// Host of the URL.
        host: String,
        /// Error of the resolver; `None` if it returned no address.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The roots of trust cannot be read.
    #[error("TLS roots cannot be read from {place}; name a PEM file of certificates as the CA file")]
    TlsRoots {
        /// CA file, or `the operating system`.
        place: String,
        /// Error of the reader; `None` if there is no certificate.
        #[source]
        source: Option<Cause>,
    },
    /// The server cannot be reached, refuses the login, or has no valid certificate.
    #[error(
        "cannot connect to {server}; check host, port, user, password file, and that it serves TLS unless it is on loopback"
    )]
    Connect {
        /// Host and port.
        server: String,
        /// Error of the driver.
        #[source]
        source: Cause,
    },
    /// A statement failed.
    #[error("{statement} failed; check the rights of the database user")]
    Query {
        /// Purpose of the statement.
        statement: &'static str,
        /// Error of the driver.
        #[source]
        source: Cause,
    },
    /// A statement or a connection attempt took too long. The connection must be opened again.
    #[error(
        "{statement} took longer than {seconds} s; an index on the paged columns, or a longer time limit, helps"
    )]
    TimedOut {
        /// Purpose of the statement.
        statement: &'static str,
        /// Time limit.
        seconds: u64,
    },
    /// The database has no such table, or the user may not read it.
    #[error(
        "table {table} does not exist, or the database user may not read it: GRANT SELECT ON it, or correct the name"
    )]
    UnknownTable {
        /// Table as requested.
        table: String,
    },
    /// The table has no such column.
    #[error("table {table} has no column {column:?}; it has {known}")]
    UnknownColumn {
        /// Table as requested.
        table: String,
        /// Column as requested.
        column: String,
        /// Columns of the table, at most 20.
        known: String,
    },
    /// The column's values have no text.
    #[error(
        "column {column:?} of table {table} is of type {data_type}, which has no text; leave it out of `columns`"
    )]
    BinaryColumn {
        /// Table as requested.
        table: String,
        /// Name of the column.
        column: String,
        /// Type as the database names it.
        data_type: String,
    },
    /// The column cannot order pages.
    #[error(
        "column {column:?} of table {table} cannot order pages: it is of type {data_type}; name {remedy}"
    )]
    OrderColumn {
        /// Table as requested.
        table: String,
        /// Name of the column.
        column: String,
        /// Type as the database names it.
        data_type: String,
        /// Types that can.
        remedy: &'static str,
    },
    /// Rows without a value in an ordering column would never be read.
    #[error(
        "column {column:?} of table {table} is NULL in some rows, which would be skipped; fill it, or page by another column"
    )]
    NullOrder {
        /// Table as requested.
        table: String,
        /// Name of the column.
        column: String,
    },
    /// Two rows share their place in the order, so that one could be skipped at the end of a page.
    #[error("column {column:?} of table {table} is no key: several rows have {key:?}; name a unique column")]
    RepeatedKey {
        /// Table as requested.
        table: String,
        /// Name of the key column.
        column: String,
        /// Repeated key.
        key: String,
    },
    /// A stored position belongs to another table or to other columns.
    #[error("the stored position is of {stored}, not of {requested}; delete the source to begin again")]
    Position {
        /// Table and columns of the position.
        stored: String,
        /// Table and columns of this source.
        requested: String,
    },
    /// A time zone is unknown.
    #[error("time zone {name:?} is unknown; name one of the IANA database, as in Europe/Berlin")]
    TimeZone {
        /// Time zone as configured.
        name: String,
    },
    /// A value cannot be read as text.
    #[error(
        "column {column:?} of table {table}: a value is no UTF-8 text; leave it out of `columns`, or convert it in a view"
    )]
    Value {
        /// Table as requested.
        table: String,
        /// Name of the column.
        column: String,
        /// Error of the driver.
        #[source]
        source: Option<Cause>,
    },
    /// The table cannot be followed.
    #[error("table {table} cannot be followed: {reason}")]
    Follow {
        /// Table as requested.
        table: String,
        /// Missing precondition and its remedy.
        reason: &'static str,
    },
    /// The server or the table is not set up for changes.
    #[error("changes cannot be read: {reason}")]
    Changes {
        /// Missing precondition and its remedy.
        reason: String,
    },
    /// A line of the decoded log has an unknown form.
    #[error("change at {lsn} cannot be read: expected {expected} at byte {at} of {line:?}; report this line")]
    ChangeText {
        /// Position of the change in the log.
        lsn: String,
        /// Expected text.
        expected: &'static str,
        /// Byte of the line, from 0.
        at: usize,
        /// Line, cut to 400 characters.
        line: String,
    },
    /// The next changes were requested before the previous ones were acknowledged.
    #[error("changes through {lsn} are not acknowledged; call advance({lsn}) before the next ones")]
    NotAdvanced {
        /// Position to advance to.
        lsn: String,
    },
}

impl SourceError {
    /// Returns whether the same call can succeed later, on a new connection, without a change of the configuration.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } | Self::Query { .. } | Self::TimedOut { .. } => true,
            Self::Url { .. }
            | Self::PasswordInUrl
            | Self::PasswordFile { .. }
            | Self::AllowEntry { .. }
            | Self::HostNotAllowed { .. }
            | Self::LinkLocal { .. }
            | Self::TlsRoots { .. }
            | Self::UnknownTable { .. }
            | Self::UnknownColumn { .. }
            | Self::BinaryColumn { .. }
            | Self::OrderColumn { .. }
            | Self::NullOrder { .. }
            | Self::RepeatedKey { .. }
            | Self::Position { .. }
            | Self::TimeZone { .. }
            | Self::Value { .. }
            | Self::Follow { .. }
            | Self::Changes { .. }
            | Self::ChangeText { .. }
            | Self::NotAdvanced { .. } => false,
        }
    }

    /// Refusal of a server or a table that is not set up for changes.
    pub(super) fn changes(reason: impl Into<String>) -> Self {
        Self::Changes { reason: reason.into() }
    }

    /// Converts errors of a driver to the failure of the statement with this purpose.
    pub(super) fn failed<E: Into<Cause>>(statement: &'static str) -> impl Fn(E) -> Self + Copy {
        move |source| Self::Query { statement, source: source.into() }
    }
}

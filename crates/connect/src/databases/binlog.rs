//! Changes of MySQL and MariaDB from their binary log, read as a replica does. The position is the caller's: it is stored once the changes
//! before it are acknowledged, so that a crash repeats changes and loses none.

mod change;
mod coding;
mod options;
mod statement;
mod table;

pub use change::{BinlogBatch, BinlogChange, BinlogPosition};
pub use options::BinlogOptions;

use super::connect::Database;
use super::error::SourceError;
use super::login::TimeLimit;
use super::value::LocalZone;
use futures::{FutureExt, StreamExt};
use mysql_async::binlog::events::{Event, EventData};
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest, Conn};
use statement::LoggedStatement;
use table::BinlogTables;

const STATEMENT: &str = "reading the binary log";

/// Time between heartbeats of an idle server, in nanoseconds: a connection that is silent for longer than the time limit is dead.
const HEARTBEAT_NS: u64 = 10_000_000_000;

/// Events of MariaDB that hold no change: annotations, checkpoints, transaction ids and their list, start of encryption.
const MARIADB_WITHOUT_CHANGES: std::ops::RangeInclusive<u8> = 160..=164;

/// Reader of a binary log.
pub struct BinlogChanges {
    stream: BinlogStream,
    tables: BinlogTables,
    limit: TimeLimit,
    batch_changes: usize,
    /// Place of the newest event.
    file: String,
    /// Whether the server has described the format of its events.
    has_format: bool,
    /// End of the newest transaction.
    committed: BinlogPosition,
    /// Changes that were read and not handed out. They stay here while a call waits, so that a dropped call loses none.
    pending: Vec<BinlogChange>,
    /// Whether the newest change belongs to a transaction whose end was not read yet.
    is_open: bool,
    /// Whether changes of such a transaction were handed out.
    is_within: bool,
    /// Whether an event could not be read. The stream is past it, so that going on would lose it.
    is_broken: bool,
}

impl std::fmt::Debug for BinlogChanges {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("BinlogChanges").field("committed", &self.committed).finish_non_exhaustive()
    }
}

impl Database {
    /// Reads the changes of tables from the binary log of MySQL or MariaDB, from a stored position or from now on.
    ///
    /// # Errors
    /// [`SourceError::Changes`] if the server is not set up for it, refusals of tables and columns, and failures of statements.
    pub async fn binlog(
        self,
        options: BinlogOptions,
        position: Option<BinlogPosition>,
    ) -> Result<BinlogChanges, SourceError> {
        let (mut connection, limit) = self.into_mysql_connection()?;
        let zone = LocalZone::named(&options.time_zone)?;
        let work = BinlogTables::open(&mut connection, &options, zone);
        let tables = limit.bound(STATEMENT, work).await?;
        let current = limit.bound(STATEMENT, check_server(&mut connection)).await?;
        let committed = position.unwrap_or(current);
        let work = request(connection, options.server_id, &committed);
        Ok(BinlogChanges {
            stream: limit.bound(STATEMENT, work).await?,
            tables,
            limit,
            batch_changes: options.batch_changes.clamp(1, 100_000),
            file: committed.file.clone(),
            has_format: false,
            committed,
            pending: Vec::new(),
            is_open: false,
            is_within: false,
            is_broken: false,
        })
    }
}

impl BinlogChanges {
    /// Waits for changes and returns them in the order of commits. A batch without `position` is part of a large transaction; its last
    /// batch may have no changes. A call that is dropped before it returns has read nothing.
    ///
    /// # Errors
    /// [`SourceError::Changes`] for what cannot be read (compressed events, rows without names of columns), [`SourceError::Value`],
    /// [`SourceError::Query`], also if the server has removed the log, and [`SourceError::TimedOut`].
    pub async fn next(&mut self) -> Result<BinlogBatch, SourceError> {
        let mut is_committed = false;
        if self.is_broken {
            return Err(SourceError::changes("an event could not be read; connect again from the position"));
        }
        loop {
            let ready = if is_committed { self.stream.next().now_or_never() } else { None };
            if is_committed && ready.is_none() {
                return Ok(self.batch(true));
            }
            let event = match ready {
                Some(event) => event,
                None => self.limit.bound(STATEMENT, async { Ok(self.stream.next().await) }).await?,
            };
            let event = event
                .ok_or_else(|| {
                    SourceError::changes("the server ended the binary log; connect again from the position")
                })?
                .map_err(SourceError::failed(STATEMENT))?;
            let applied = self.apply(&event);
            self.is_broken = applied.is_err();
            let is_end = applied?;
            is_committed |= is_end && (!self.pending.is_empty() || self.is_within);
            if self.pending.len() >= self.batch_changes {
                return Ok(self.batch(is_committed));
            }
        }
    }

    /// Returns the end of the newest transaction that was read: the position to store while there are no changes.
    #[must_use]
    pub fn position(&self) -> Option<&BinlogPosition> {
        (self.pending.is_empty() && !self.is_within).then_some(&self.committed)
    }

    /// Hands out what was read.
    fn batch(&mut self, is_committed: bool) -> BinlogBatch {
        let changes = std::mem::take(&mut self.pending);
        self.is_within = self.is_open;
        BinlogBatch { changes, position: is_committed.then(|| self.committed.clone()) }
    }

    /// Reads an event, and returns whether it ends a transaction.
    fn apply(&mut self, event: &Event) -> Result<bool, SourceError> {
        let header = event.header();
        if MARIADB_WITHOUT_CHANGES.contains(&header.event_type_raw()) {
            return Ok(false);
        }
        let data = event.read_data().map_err(SourceError::failed(STATEMENT))?;
        let end = u64::from(header.log_pos());
        match data {
            Some(EventData::FormatDescriptionEvent(_)) => self.has_format = true,
            // The rotation to the requested file comes before the format, which says that a checksum follows the name.
            Some(EventData::RotateEvent(rotate)) if self.has_format => {
                rotate.name().as_ref().clone_into(&mut self.file);
            }
            Some(EventData::XidEvent(_)) => return Ok(self.commit(end)),
            Some(EventData::QueryEvent(query)) => {
                return self.statement(&query.query(), &query.schema(), end);
            }
            Some(EventData::RowsEvent(rows)) => {
                let map = self.stream.get_tme(rows.table_id());
                let at = BinlogPosition { file: self.file.clone(), offset: end };
                let changes = self.tables.changes(&rows, map, &at)?;
                self.is_open |= !changes.is_empty();
                self.pending.extend(changes);
            }
            None => {
                let kind = header.event_type_raw();
                return Err(SourceError::changes(format!(
                    "event {}:{end} is of unknown type {kind}; set log_bin_compress = OFF on the server",
                    self.file
                )));
            }
            Some(_) => {}
        }
        Ok(false)
    }

    /// Reads a statement, and returns whether it ends a transaction.
    fn statement(&mut self, query: &str, schema: &str, end: u64) -> Result<bool, SourceError> {
        let at = BinlogPosition { file: self.file.clone(), offset: end };
        match LoggedStatement::parse(query) {
            LoggedStatement::Within => return Ok(false),
            LoggedStatement::Write if self.tables.mentions(query) => {
                return Err(SourceError::changes(format!(
                    "the write at {at} is logged as a statement; keep binlog_format = ROW in every session, and read the tables again"
                )));
            }
            LoggedStatement::Write => return Ok(false),
            LoggedStatement::Truncate { schema: named, table } => {
                let found = self.tables.truncated(named.as_deref().unwrap_or(schema), &table, &at);
                self.pending.extend(found);
            }
            LoggedStatement::Commit => {}
        }
        Ok(self.commit(end))
    }

    fn commit(&mut self, end: u64) -> bool {
        self.committed = BinlogPosition { file: self.file.clone(), offset: end };
        self.is_open = false;
        true
    }
}

/// Checks the settings of the log and returns its end.
async fn check_server(connection: &mut Conn) -> Result<BinlogPosition, SourceError> {
    for (name, expected) in [
        ("log_bin", "ON"),
        ("binlog_format", "ROW"),
        ("binlog_row_image", "FULL"),
        ("binlog_row_metadata", "FULL"),
    ] {
        let found: Option<String> = connection
            .query_first(format!("SELECT CAST(@@GLOBAL.{name} AS CHAR)"))
            .await
            .map_err(SourceError::failed("reading the settings of the binary log"))?;
        let found = found.unwrap_or_default();
        // MySQL prints a switch that is on as 1.
        let is_on = expected == "ON" && found == "1";
        if found != expected && !is_on {
            return Err(SourceError::changes(format!(
                "{name} is {found}; set {name} = {expected} on the server"
            )));
        }
    }
    let status: Option<mysql_async::Row> = connection
        .query_first("SHOW MASTER STATUS")
        .await
        .map_err(SourceError::failed("reading the settings of the binary log"))?;
    let end = status.and_then(|row| Some((row.get::<String, _>(0)?, row.get::<u64, _>(1)?)));
    let (file, offset) =
        end.ok_or_else(|| SourceError::changes("the server has no binary log; set log_bin"))?;
    Ok(BinlogPosition { file, offset })
}

/// Turns the connection into a stream of events.
async fn request(
    mut connection: Conn,
    server_id: u32,
    from: &BinlogPosition,
) -> Result<BinlogStream, SourceError> {
    // MariaDB sends its own events to readers of capability 4, rather than rewriting them for old replicas.
    let settings = format!("SET @master_heartbeat_period = {HEARTBEAT_NS}, @mariadb_slave_capability = 4");
    connection.query_drop(settings).await.map_err(SourceError::failed(STATEMENT))?;
    let request =
        BinlogStreamRequest::new(server_id).with_filename(from.file.as_bytes()).with_pos(from.offset);
    connection.get_binlog_stream(request).await.map_err(SourceError::failed(STATEMENT))
}

//! Changes of PostgreSQL by a logical replication slot, read with plain SQL: changes are peeked, handed out, and only forgotten by the
//! server once the caller has acknowledged them. A crash between the two repeats changes and loses none.

mod change;
mod filter;
mod server;
mod text;

pub use change::{ChangeKind, ChangedColumn, ChangedTable, Lsn, SlotBatch, SlotChange};

use super::connect::Database;
use super::error::SourceError;
use super::login::TimeLimit;
use super::postgres::PostgresSession;
use super::value::LocalZone;
use filter::TableFilter;
use std::time::Duration;
use text::DecodedLine;

/// Bytes of one fetch that the number of its rows aims at.
const FETCH_BYTES: usize = 8 << 20;
/// Rows of the first fetch, while their size is unknown.
const FIRST_FETCH: usize = 100;
/// Log that other databases and tables may write before an idle slot lets go of it. Each release decodes the log once more.
const IDLE_WAL_BYTES: u64 = 16 << 20;

/// Replication slot and the tables to read through it.
#[derive(Clone, Debug)]
pub struct SlotOptions {
    /// Name of the slot, of lower-case letters, digits and `_`, at most 63. One reader at a time.
    pub slot: String,
    /// Tables whose changes are handed out.
    pub tables: Vec<ChangedTable>,
    /// Time between two looks at an idle slot; 200 ms by default.
    pub interval: Duration,
    /// Most changes of a batch, 1 to 100,000; 5,000 by default. Larger transactions come in several batches.
    pub batch_changes: usize,
    /// Time zone (IANA) of columns that have a time without an offset; UTC by default.
    pub time_zone: String,
}

impl SlotOptions {
    /// Options with their defaults.
    #[must_use]
    pub fn new(slot: &str, tables: Vec<ChangedTable>) -> Self {
        Self {
            slot: slot.to_owned(),
            tables,
            interval: Duration::from_millis(200),
            batch_changes: 5_000,
            time_zone: "UTC".to_owned(),
        }
    }
}

impl Database {
    /// Reads the changes of tables through a replication slot of PostgreSQL, which is created if it is missing.
    ///
    /// # Errors
    /// [`SourceError::Changes`] if the server, the slot or a table is not set up for it, refusals of tables and columns, and failures of
    /// statements.
    pub async fn changes(self, options: SlotOptions) -> Result<SlotChanges, SourceError> {
        let (session, limit) = self.into_replicating()?;
        SlotChanges::open(session, limit, options).await
    }

    /// Returns the bytes of log that a PostgreSQL server keeps for a replication slot, as of a source that is paused.
    ///
    /// # Errors
    /// [`SourceError::Changes`] if there is no such slot, and failures of statements.
    pub async fn retained_wal_bytes(&mut self, slot: &str) -> Result<u64, SourceError> {
        let (session, limit) = self.replicating()?;
        let work = server::retained_wal_bytes(session.client(), slot);
        limit.bound("reading the size of the replication slot", work).await
    }

    /// Drops a replication slot of PostgreSQL, as of a source that is deleted. A missing slot is no error.
    ///
    /// # Errors
    /// Failures of statements, also if another reader has the slot open.
    pub async fn drop_slot(&mut self, slot: &str) -> Result<(), SourceError> {
        let (session, limit) = self.replicating()?;
        limit.bound("dropping the replication slot", server::drop_slot(session.client(), slot)).await
    }
}

/// Reader of a replication slot.
#[derive(Debug)]
pub struct SlotChanges {
    session: PostgresSession,
    limit: TimeLimit,
    options: SlotOptions,
    filter: TableFilter,
    /// Whether the cursor over peeked changes has more. It is false while a fetch is under way, so that a dropped call peeks again.
    has_cursor: bool,
    /// Rows of the next fetch.
    fetch_rows: usize,
    /// Whether changes of a transaction were handed out whose end was not read yet.
    is_within: bool,
    /// Position of the newest handed-out transaction that was not acknowledged.
    unacknowledged: Option<Lsn>,
    /// Position that the slot was last advanced to.
    advanced: Lsn,
    /// End of the log before the newest peek.
    log_end: Lsn,
    /// Whether the next peek waits for the interval.
    is_idle: bool,
}

impl SlotChanges {
    /// Checks server, slot and tables, and creates the slot if it is missing.
    pub(super) async fn open(
        mut session: PostgresSession,
        limit: TimeLimit,
        options: SlotOptions,
    ) -> Result<Self, SourceError> {
        const STATEMENT: &str = "opening the replication slot";
        let zone = LocalZone::named(&options.time_zone)?;
        let filter = limit.bound(STATEMENT, TableFilter::open(&mut session, &options.tables, zone)).await?;
        let advanced = limit.bound(STATEMENT, server::open_slot(session.client(), &options.slot)).await?;
        Ok(Self {
            session,
            limit,
            options,
            filter,
            has_cursor: false,
            fetch_rows: FIRST_FETCH,
            is_within: false,
            unacknowledged: None,
            advanced,
            log_end: advanced,
            is_idle: false,
        })
    }

    /// Waits for committed changes and returns them in the order of commits.
    ///
    /// A batch without `advance_to` is part of a large transaction; its last batch may have no changes. A call that is dropped before it
    /// returns has read nothing, but changes of an unfinished transaction may come again.
    ///
    /// # Errors
    /// [`SourceError::NotAdvanced`] if the changes before are not acknowledged, [`SourceError::ChangeText`],
    /// [`SourceError::BinaryColumn`], [`SourceError::Query`] and [`SourceError::TimedOut`].
    pub async fn next(&mut self) -> Result<SlotBatch, SourceError> {
        loop {
            if !std::mem::take(&mut self.has_cursor) {
                self.peek().await?;
            }
            let rows = self.fetch().await?;
            let is_end = rows.len() < self.fetch_rows;
            self.choose_fetch(&rows);
            let batch = self.batch(&rows)?;
            self.has_cursor = !is_end;
            let is_end_of_handed_out = self.is_within && batch.advance_to.is_some();
            if !batch.changes.is_empty() || is_end_of_handed_out {
                self.is_within = !ends_with_commit(&rows);
                self.is_idle = false;
                self.unacknowledged = batch.advance_to.or(self.unacknowledged);
                return Ok(batch);
            }
            self.release(&batch, rows.is_empty()).await?;
            self.is_idle = is_end;
        }
    }

    /// Lets the server forget the changes through `lsn`, which a batch named as `advance_to`. Positions before the newest are ignored.
    ///
    /// The server may forget a call if it crashes within its checkpoint; the changes are then handed out again.
    ///
    /// # Errors
    /// [`SourceError::Query`] and [`SourceError::TimedOut`].
    pub async fn advance(&mut self, lsn: Lsn) -> Result<(), SourceError> {
        const STATEMENT: &str = "advancing the replication slot";
        if lsn > self.advanced {
            let slot = &self.options.slot;
            self.limit.bound(STATEMENT, server::advance(self.session.client(), slot, lsn)).await?;
            self.advanced = lsn;
        }
        self.unacknowledged = self.unacknowledged.filter(|newest| *newest > lsn);
        Ok(())
    }

    /// Returns the bytes of log that the server keeps for the slot. A slot that nobody reads fills the server's disk.
    ///
    /// # Errors
    /// [`SourceError::Changes`] if the slot is gone, [`SourceError::Query`] and [`SourceError::TimedOut`].
    pub async fn retained_wal_bytes(&mut self) -> Result<u64, SourceError> {
        let work = server::retained_wal_bytes(self.session.client(), &self.options.slot);
        self.limit.bound("reading the size of the replication slot", work).await
    }

    /// Drops the slot, so that the server keeps no log for it. Changes that were not handed out are lost to it.
    ///
    /// # Errors
    /// [`SourceError::Query`] and [`SourceError::TimedOut`].
    pub async fn drop_slot(self) -> Result<(), SourceError> {
        let work = server::drop_slot(self.session.client(), &self.options.slot);
        self.limit.bound("dropping the replication slot", work).await
    }

    /// Peeks changes into a cursor.
    async fn peek(&mut self) -> Result<(), SourceError> {
        if let Some(lsn) = self.unacknowledged {
            return Err(SourceError::NotAdvanced { lsn: lsn.to_string() });
        }
        if self.is_idle {
            tokio::time::sleep(self.options.interval).await;
        }
        self.is_within = false;
        let work = server::peek(self.session.client(), &self.options.slot, self.batch_changes());
        self.log_end = self.limit.bound("peeking at the replication slot", work).await?;
        Ok(())
    }

    async fn fetch(&mut self) -> Result<Vec<(Lsn, String)>, SourceError> {
        let work = server::fetch(self.session.client(), self.fetch_rows);
        self.limit.bound("fetching changes", work).await
    }

    fn batch_changes(&self) -> usize {
        self.options.batch_changes.clamp(1, 100_000)
    }

    /// Chooses the rows of the next fetch by the size of these.
    fn choose_fetch(&mut self, rows: &[(Lsn, String)]) {
        let bytes: usize = rows.iter().map(|(_, line)| line.len()).sum();
        let mean = bytes / rows.len().max(1);
        self.fetch_rows = (FETCH_BYTES / mean.max(1)).clamp(1, self.batch_changes());
    }

    /// Reads the lines of a fetch.
    fn batch(&self, rows: &[(Lsn, String)]) -> Result<SlotBatch, SourceError> {
        let mut batch = SlotBatch { changes: Vec::new(), advance_to: None };
        for (lsn, line) in rows {
            match DecodedLine::parse(line).map_err(|defect| defect.error(*lsn, line))? {
                DecodedLine::Begin | DecodedLine::Message => {}
                DecodedLine::Commit => batch.advance_to = Some(*lsn),
                DecodedLine::Truncate(tables) => batch.changes.extend(self.filter.truncated(&tables, *lsn)),
                DecodedLine::Change(change) => batch.changes.extend(self.filter.change(change, *lsn)?),
            }
        }
        Ok(batch)
    }

    /// Lets the server forget what holds no change of our tables, unless changes before it are unacknowledged.
    async fn release(&mut self, batch: &SlotBatch, is_empty: bool) -> Result<(), SourceError> {
        if self.unacknowledged.is_some() || self.is_within {
            return Ok(());
        }
        if let Some(lsn) = batch.advance_to {
            return self.advance(lsn).await;
        }
        // An empty peek has decoded the whole log before it.
        if is_empty && self.log_end.0.saturating_sub(self.advanced.0) > IDLE_WAL_BYTES {
            return self.advance(self.log_end).await;
        }
        Ok(())
    }
}

fn ends_with_commit(rows: &[(Lsn, String)]) -> bool {
    rows.last().is_some_and(|(_, line)| matches!(DecodedLine::parse(line), Ok(DecodedLine::Commit)))
}

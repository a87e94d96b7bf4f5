//! Sending of the rows of a file or a table.

use super::rows::ImportRows;
use anyhow::{Result, anyhow};
use portrait_client::{RoleRouter, Sender};
use portrait_connect::files::{LogColumns, LogRow, ReadError, RowBody, SortedLog};

/// Sender of the rows of a source.
pub(super) struct RowSender<'a> {
    router: RoleRouter,
    source: &'a str,
    /// None until the first row is sent: the sort before may take longer than an idle stream is kept.
    sender: Option<Sender>,
}

impl<'a> RowSender<'a> {
    pub(super) fn new(router: RoleRouter, source: &'a str) -> Self {
        Self { router, source, sender: None }
    }

    /// Sends a row, and records in `rows` what was answered meanwhile.
    ///
    /// # Errors
    /// If too many rows are rejected, or the server ends the stream.
    pub(super) async fn send(
        &mut self,
        row: LogRow,
        rows: &mut ImportRows<'_>,
        columns: &LogColumns,
    ) -> Result<()> {
        self.send_unchecked(row, rows, columns).await?;
        rows.check_limit()
    }

    async fn send_unchecked(
        &mut self,
        row: LogRow,
        rows: &mut ImportRows<'_>,
        columns: &LogColumns,
    ) -> Result<()> {
        let body = match row.body {
            RowBody::Rejected(defect) => return rows.reject(row.line, &defect, row.raw.as_deref()),
            RowBody::LeftOut => {
                rows.leave_out();
                return Ok(());
            }
            body @ (RowBody::Event(_) | RowBody::Item(_)) => body,
        };
        let sender = match &mut self.sender {
            Some(sender) => sender,
            none => none.insert(Sender::open(self.router.clone()).await?),
        };
        rows.sent(row.line, row.raw);
        let sent = match body {
            // An object of a log may name a source of its own.
            RowBody::Event(mut event) => {
                if event.source.is_empty() {
                    self.source.clone_into(&mut event.source);
                }
                sender.event(event).await
            }
            RowBody::Item(item) => sender.item(item).await,
            RowBody::Rejected(_) | RowBody::LeftOut => Ok(()),
        };
        // Before `?`: results remain available after an error.
        rows.record(sender.take_results(), columns)?;
        Ok(sent?)
    }

    /// Waits until all rows that were sent are answered, and records the answers.
    ///
    /// # Errors
    /// If too many rows are rejected, or the server ends the stream.
    pub(super) async fn flush(&mut self, rows: &mut ImportRows<'_>, columns: &LogColumns) -> Result<()> {
        if let Some(sender) = &mut self.sender {
            let flushed = sender.flush().await;
            rows.record(sender.take_results(), columns)?;
            flushed?;
        }
        rows.check_limit()
    }
}

/// Sends all rows of a file, and records their results in `rows`.
///
/// # Errors
/// If the file cannot be read to its end, too many rows are rejected, or the server ends the stream. Rows before that are sent.
pub(super) async fn send(log: SortedLog, mut sender: RowSender<'_>, rows: &mut ImportRows<'_>) -> Result<()> {
    let columns = log.columns();
    let mut ended = Ok(());
    for row in log {
        ended = match row {
            Ok(row) => sender.send(row, rows, &columns).await,
            Err(error) => Err(explained(error)),
        };
        if ended.is_err() {
            break;
        }
    }
    // Rows before the one that ended the import are sent all the same; the first error has the reason.
    let flushed = sender.flush(rows, &columns).await;
    ended.and(flushed)
}

/// Sends a page of rows, and waits for their answers.
///
/// # Errors
/// If too many rows are rejected, or the server ends the stream.
pub(super) async fn send_page(
    page: Vec<LogRow>,
    sender: &mut RowSender<'_>,
    rows: &mut ImportRows<'_>,
    columns: &LogColumns,
) -> Result<()> {
    for row in page {
        sender.send(row, rows, columns).await?;
    }
    sender.flush(rows, columns).await
}

fn explained(error: ReadError) -> anyhow::Error {
    match error {
        ReadError::Stopped => {
            anyhow!("stopped by Ctrl-C: run the same command again, rows that are in count once")
        }
        error => error.into(),
    }
}

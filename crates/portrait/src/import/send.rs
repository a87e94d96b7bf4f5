//! Sending of the rows of a file.

use super::rows::ImportRows;
use anyhow::{Result, anyhow};
use portrait_client::{RoleRouter, Sender};
use portrait_connect::files::{LogColumns, LogRow, ReadError, RowBody, SortedLog};

/// Sends all rows as those of `source`, and records their results in `rows`.
///
/// # Errors
/// If the file cannot be read to its end, too many rows are rejected, or the server ends the stream. Rows before that are sent.
pub(super) async fn send(
    log: SortedLog,
    router: RoleRouter,
    source: &str,
    rows: &mut ImportRows<'_>,
) -> Result<()> {
    let columns = log.columns();
    let mut sender = None::<Sender>;
    let mut ended = Ok(());
    for row in log {
        ended = match row {
            Ok(row) => send_row(row, &router, &mut sender, source, rows, &columns)
                .await
                .and_then(|()| rows.check_limit()),
            Err(error) => Err(explained(error)),
        };
        if ended.is_err() {
            break;
        }
    }
    // Rows before the one that ended the import are sent all the same.
    if let Some(mut sender) = sender {
        let flushed = sender.flush().await;
        rows.record(sender.take_results(), &columns)?;
        // The first error has the reason.
        ended = ended.and(flushed.map_err(Into::into));
    }
    ended.and_then(|()| rows.check_limit())
}

async fn send_row(
    row: LogRow,
    router: &RoleRouter,
    sender: &mut Option<Sender>,
    source: &str,
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
    // Opened with the first row that is sent: the sort before may take longer than an idle stream is kept.
    let sender = match sender {
        Some(sender) => sender,
        none => none.insert(Sender::open(router.clone()).await?),
    };
    rows.sent(row.line, row.raw);
    let sent = match body {
        // An object of a log may name a source of its own.
        RowBody::Event(mut event) => {
            if event.source.is_empty() {
                source.clone_into(&mut event.source);
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

fn explained(error: ReadError) -> anyhow::Error {
    match error {
        ReadError::Stopped => {
            anyhow!("stopped by Ctrl-C: run the same command again, rows that are in count once")
        }
        error => error.into(),
    }
}

//! `portrait import`: sends a shop's log to a server and prints a table of read, accepted, duplicate and rejected rows. An
//! unreadable row ends the import with an error that names the line; earlier rows have been sent. Repeating an import is safe,
//! because event ids are derived from the rows.

mod report;

pub use report::{ImportReport, Rejected};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use portrait_client::text::words;
use portrait_client::{self as client, RoleRouter, Sender, ServerArgs};
use portrait_connect::files::{EventId, Format, LogReader, LogRow};
use portrait_proto::v1::ListPartitionsRequest;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Number of rows between updates of the progress bar.
const PROGRESS_EVERY: u64 = 1000;

/// Arguments of `portrait import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// Log file; gzip is detected.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Format of the log.
    #[arg(long, value_enum)]
    pub format: Format,
    /// Server address and credentials.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Meaning of equal rows: duplicates (content) or repeated actions (row) [default: as documented for the format].
    #[arg(long, value_enum)]
    pub event_id: Option<EventId>,
}

/// Imports the file and prints the table.
///
/// # Errors
/// If the file cannot be read to its end or the server ends the stream; the table of the rows so far is printed first.
pub async fn run(args: ImportArgs) -> Result<()> {
    let mut report = ImportReport::default();
    let outcome = import(&args, &mut report).await;
    println!("{report}");
    outcome
}

/// Imports the file. `report` has the counts of rows also after an error.
///
/// # Errors
/// If the file cannot be read to its end or the server ends the stream.
pub async fn import(args: &ImportArgs, report: &mut ImportReport) -> Result<()> {
    let started = Instant::now();
    let event_id = args.event_id.unwrap_or(args.format.default_event_id());
    let name = args.file.display();
    let reader = LogReader::open(&args.file, args.format, event_id).with_context(|| name.to_string())?;
    let router = args.server.connect().await?;
    let duplicates_before = duplicates(router.clone()).await?;
    let sent = send(reader, router.clone(), report).await.with_context(|| name.to_string());
    // Also after an error: the table should count what was applied until then.
    let settled = settle(router, duplicates_before, report).await;
    report.elapsed = started.elapsed();
    // The first error has precedence: it has the reason why the rows stopped.
    sent.and(settled)
}

/// Waits until the sent events are applied, and counts the duplicates among them.
async fn settle(router: RoleRouter, duplicates_before: u64, report: &mut ImportReport) -> Result<()> {
    client::wait_until_applied(router.clone()).await?;
    // The server counts duplicates when it applies records, so the difference of its counters has them. Concurrent
    // senders of duplicates would be counted too.
    report.duplicates = duplicates(router).await?.saturating_sub(duplicates_before);
    Ok(())
}

async fn send(mut reader: LogReader, router: RoleRouter, report: &mut ImportReport) -> Result<()> {
    let bar = progress_bar(reader.bytes_total());
    let started = Instant::now();
    let mut sender = Sender::open(router).await?;
    let mut read_error = None;
    while let Some(row) = reader.next() {
        match row {
            Ok(LogRow::Event(event)) => {
                let sent = sender.event(event).await;
                // Before `?`: results remain available after an error.
                report.record(sender.take_results());
                sent?;
            }
            Ok(LogRow::Item(item)) => {
                let sent = sender.item(item).await;
                report.record(sender.take_results());
                sent?;
            }
            Ok(LogRow::Rejected { line, reason }) => report.reject(reason, || format!("line {line}")),
            Err(error) => {
                read_error = Some(error);
                break;
            }
        }
        report.read += 1;
        if report.read.is_multiple_of(PROGRESS_EVERY) {
            bar.set_position(reader.bytes_read());
            bar.set_message(pace(report.read, started.elapsed()));
        }
    }
    // Rows before an unreadable one are sent all the same.
    let sent = sender.flush().await;
    report.record(sender.take_results());
    sent?;
    bar.finish_and_clear();
    read_error.map_or(Ok(()), |error| Err(error.into()))
}

/// Creates a progress bar in bytes, since the number of rows is unknown before the end; its message counts rows.
fn progress_bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg} · {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}

fn pace(rows: u64, elapsed: Duration) -> String {
    let rows_per_second = (rows as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
    format!("{} rows · {} a second", words::count(rows), words::count(rows_per_second))
}

/// Returns the number of records that the server has dropped as duplicates since it was created.
async fn duplicates(router: RoleRouter) -> Result<u64> {
    let mut client = FeatureServiceClient::new(router);
    let response = client.list_partitions(ListPartitionsRequest {}).await?.into_inner();
    Ok(response.partitions.iter().map(|partition| partition.duplicates_total).sum())
}

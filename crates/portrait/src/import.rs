//! `portrait import`: sends a shop's log to a server. In go a file and its format, out goes a table: how many rows were read,
//! accepted, known before, and rejected for which reason. A file that cannot be read on ends the import with an error that
//! names the line; what came before it was sent. Importing again is safe: ids come from the rows.

mod report;

pub use report::{Rejected, ImportReport};

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

/// The bar moves every so many rows.
const PROGRESS_EVERY: u64 = 1000;

/// The arguments of `portrait import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// The log; gzip is recognised.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Its format.
    #[arg(long, value_enum)]
    pub format: Format,
    /// Where the server answers, and how it is called.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Whether equal rows are duplicates (content) or repeats of an action (row); by default as the format's documentation
    /// says.
    #[arg(long, value_enum)]
    pub event_id: Option<EventId>,
}

/// Imports and prints the table.
///
/// # Errors
/// If the file cannot be read to its end, or the server refuses the stream; the table of what was sent is printed first.
pub async fn run(args: ImportArgs) -> Result<()> {
    let mut report = ImportReport::default();
    let outcome = import(&args, &mut report).await;
    println!("{report}");
    outcome
}

/// Imports; `report` says what became of the rows also if this fails.
pub async fn import(args: &ImportArgs, report: &mut ImportReport) -> Result<()> {
    let begun = Instant::now();
    let event_id = args.event_id.unwrap_or(args.format.default_event_id());
    let name = args.file.display();
    let reader = LogReader::open(&args.file, args.format, event_id).with_context(|| name.to_string())?;
    let channel = args.server.connect().await?;
    let before = duplicates(channel.clone()).await?;
    let sent = send(reader, channel.clone(), report).await.with_context(|| name.to_string());
    let settled = settle(channel, before, report).await;
    report.took = begun.elapsed();
    // Why the rows stopped tells more than that the server is gone.
    sent.and(settled)
}

/// Waits until what was sent is in the profiles, and counts what the server had before.
async fn settle(channel: RoleRouter, before: u64, report: &mut ImportReport) -> Result<()> {
    client::wait_until_applied(channel.clone()).await?;
    report.duplicates = duplicates(channel).await?.saturating_sub(before);
    Ok(())
}

async fn send(mut reader: LogReader, channel: RoleRouter, report: &mut ImportReport) -> Result<()> {
    let (bar, begun) = (bar(reader.bytes_total()), Instant::now());
    let mut sender = Sender::open(channel).await?;
    let mut fault = None;
    while let Some(row) = reader.next() {
        match row {
            Ok(LogRow::Event(event)) => {
                let sent = sender.event(event).await;
                report.note(sender.take_results());
                sent?;
            }
            Ok(LogRow::Item(item)) => {
                let sent = sender.item(item).await;
                report.note(sender.take_results());
                sent?;
            }
            Ok(LogRow::Rejected { line, reason }) => report.reject(reason, || format!("line {line}")),
            Err(error) => {
                fault = Some(error);
                break;
            }
        }
        report.read += 1;
        if report.read.is_multiple_of(PROGRESS_EVERY) {
            bar.set_position(reader.bytes_read());
            bar.set_message(pace(report.read, begun.elapsed()));
        }
    }
    // What was read before a fault is sent all the same.
    let sent = sender.flush().await;
    report.note(sender.take_results());
    sent?;
    bar.finish_and_clear();
    fault.map_or(Ok(()), |error| Err(error.into()))
}

/// The bar counts bytes, since nobody knows how many rows a file has; its message counts rows.
fn bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg} · {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}

fn pace(rows: u64, elapsed: Duration) -> String {
    let each_second = (rows as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
    format!("{} rows · {} a second", words::count(rows), words::count(each_second))
}

/// Records that the server has dropped as duplicates since it was created.
async fn duplicates(channel: RoleRouter) -> Result<u64> {
    let mut client = FeatureServiceClient::new(channel);
    let answer = client.list_partitions(ListPartitionsRequest {}).await?.into_inner();
    Ok(answer.partitions.iter().map(|partition| partition.duplicates_total).sum())
}

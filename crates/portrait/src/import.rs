//! `portrait import`: sends a shop's log to a server in the order of time, and prints a table of read, accepted, duplicate and
//! rejected rows. A row that cannot be read is rejected, and the import goes on. Repeating an import is safe, because event ids are
//! derived from the rows.

mod report;
mod rows;

pub use report::ImportReport;

use crate::incomplete::SomeRejected;
use crate::output;
use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use portrait_client::text::words;
use portrait_client::{self as client, RoleRouter, Sender, ServerArgs};
use portrait_connect::files::{
    EventId, Format, LogOptions, LogPass, LogProgress, RejectsFile, RowBody, SortedLog,
};
use portrait_proto::v1::ListPartitionsRequest;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use rows::ImportRows;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Arguments of `portrait import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// Log file; gzip is detected.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Format of the log.
    #[arg(long, value_enum)]
    pub format: Format,
    /// Meaning of equal rows: duplicates (content) or repeated actions (row) [default: as documented for the format].
    #[arg(long, value_enum)]
    pub event_id: Option<EventId>,
    /// File for all rejected rows, as CSV: line, column, reason, raw.
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// Rejected rows above which the import ends with an error [default: no limit].
    #[arg(long, value_name = "ROWS")]
    pub max_rejects: Option<u64>,
    /// Server address and credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

impl ImportArgs {
    /// Creates the arguments of an import that takes equal rows as documented for the format and any number of rejected rows.
    pub fn new(file: impl Into<PathBuf>, format: Format, server: ServerArgs) -> Self {
        Self { file: file.into(), format, server, event_id: None, rejects: None, max_rejects: None }
    }
}

/// Imports the file and prints the table.
///
/// # Errors
/// If the file cannot be read to its end, a row is rejected, or the server ends the stream; the table of the rows so far is printed
/// first.
pub async fn run(args: ImportArgs) -> Result<()> {
    let mut report = ImportReport::default();
    let outcome = import(&args, &mut report).await;
    output::line(&report);
    outcome?;
    let rejected = report.rejected.rows();
    if rejected == 0 {
        return Ok(());
    }
    let remedy = match &args.rejects {
        Some(file) => format!("{} has them", file.display()),
        None => "--rejects FILE writes them".to_owned(),
    };
    let rows = format!("{} of {}", words::count(rejected), words::counted(report.read, "row"));
    Err(SomeRejected(format!("{rows} were rejected, all others are in; {remedy}")).into())
}

/// Imports the file. `report` has the counts of rows also after an error.
///
/// # Errors
/// If the file cannot be read to its end, more rows are rejected than `max_rejects`, or the server ends the stream. Fewer rejected
/// rows are no error.
pub async fn import(args: &ImportArgs, report: &mut ImportReport) -> Result<()> {
    let started = Instant::now();
    let options = LogOptions {
        event_id: args.event_id.unwrap_or(args.format.default_event_id()),
        // The server's rejections come later than the rows: only a file for them needs their bytes until then.
        keep_raw: args.rejects.is_some(),
    };
    let name = args.file.display();
    let log = SortedLog::open(&args.file, args.format, options).with_context(|| name.to_string())?;
    let rejects = match &args.rejects {
        Some(path) => Some(
            RejectsFile::create(path, &args.file)
                .with_context(|| format!("cannot write the rejected rows to {}", path.display()))?,
        ),
        None => None,
    };
    let router = args.server.connect().await?;
    let duplicates_before = duplicates(router.clone()).await?;
    let bar = progress_bar();
    let log = log.with_progress(shown_by(bar.clone()));
    let mut rows = ImportRows::new(report, rejects, args.max_rejects);
    let sent = send(log, router.clone(), &mut rows).await.and_then(|()| rows.finish());
    let sent = sent.with_context(|| name.to_string());
    bar.finish_and_clear();
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

async fn send(log: SortedLog, router: RoleRouter, rows: &mut ImportRows<'_>) -> Result<()> {
    let columns = log.columns();
    let mut sender = None::<Sender>;
    let mut stopped = Ok(());
    for row in log {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                stopped = Err(error.into());
                break;
            }
        };
        match row.body {
            RowBody::Rejected(defect) => rows.reject(row.line, &defect, row.raw.as_deref())?,
            body => {
                // Opened with the first row that is sent: the sort before may take longer than an idle stream is kept.
                let sender = match &mut sender {
                    Some(sender) => sender,
                    none => none.insert(Sender::open(router.clone()).await?),
                };
                rows.sent(row.line, row.raw);
                let sent = match body {
                    RowBody::Event(event) => sender.event(event).await,
                    RowBody::Item(item) => sender.item(item).await,
                    RowBody::Rejected(_) => Ok(()),
                };
                // Before `?`: results remain available after an error.
                rows.record(sender.take_results(), columns)?;
                sent?;
            }
        }
        stopped = rows.check_limit();
        if stopped.is_err() {
            break;
        }
    }
    // Rows before the one that stopped the import are sent all the same.
    if let Some(mut sender) = sender {
        let sent = sender.flush().await;
        rows.record(sender.take_results(), columns)?;
        sent?;
    }
    stopped.and_then(|()| rows.check_limit())
}

/// Creates a progress bar. Its length is that of the current pass, and its message counts rows.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:30} {percent:>3}% {msg} · {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

/// Shows the progress of both passes in one bar.
fn shown_by(bar: ProgressBar) -> impl FnMut(LogProgress) + Send + 'static {
    let mut pass = None;
    let mut begun = Instant::now();
    move |progress| {
        if pass != Some(progress.pass) {
            pass = Some(progress.pass);
            begun = Instant::now();
            // The time left is that of the pass: reading and sending have different speeds.
            bar.reset_eta();
            bar.set_prefix(match progress.pass {
                LogPass::Sort => "reading",
                LogPass::Deliver => "sending",
            });
        }
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(pace(progress.rows, begun.elapsed()));
    }
}

fn pace(rows: u64, elapsed: Duration) -> String {
    let rows_per_second = (rows as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
    format!("{} rows · {} a second", words::count(rows), words::count(rows_per_second))
}

/// Returns the number of records that the server has dropped as duplicates since it was created.
async fn duplicates(router: RoleRouter) -> Result<u64> {
    let mut feature = FeatureServiceClient::new(router);
    let response =
        feature.list_partitions(ListPartitionsRequest {}).await.map_err(client::Error::from)?.into_inner();
    Ok(response.partitions.iter().map(|partition| partition.duplicates_total).sum())
}

//! `portrait import`: sends the rows of a file to a server in the order of time, and prints a table of read, accepted, duplicate and
//! rejected rows. A row that cannot be read is rejected, and the import goes on. Repeating an import is safe, because event ids are
//! derived from the content of rows.

mod inspect;
mod objects;
mod progress;
mod report;
mod rows;
mod send;
mod tables;

pub use report::ImportReport;
pub use tables::TableArgs;

use crate::incomplete::SomeRejected;
use crate::output;
use anyhow::{Context, Result, bail};
use clap::Args;
use portrait_client::text::words;
use portrait_client::{self as client, RoleRouter, ServerArgs};
use portrait_connect::files::{LogOptions, Mapping, MappingArgs, RejectsFile, RepeatRule, SortedLog};
use portrait_proto::v1::ListPartitionsRequest;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use rows::ImportRows;
use send::RowSender;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Interval at which Ctrl-C is noticed while nothing is imported.
const STOP_INTERVAL: Duration = Duration::from_millis(100);

/// Arguments of `portrait import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// File with events or items; objects of a bucket as s3://BUCKET/PREFIX or s3://BUCKET/BEGIN*END; or a database as
    /// postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Import new and changed objects or rows of a table as they come, until Ctrl-C.
    #[arg(long, conflicts_with_all = ["guess", "check", "dry_run"])]
    pub follow: bool,
    /// Mapping of the file.
    #[command(flatten)]
    pub mapping: MappingArgs,
    /// Table of a database.
    #[command(flatten)]
    pub table: TableArgs,
    /// Name of the source: a row of a source counts once, however often and late it is imported [default: name of the mapping].
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Meaning of equal rows: one event (drop) or repeated actions (count) [default: as in the mapping].
    #[arg(long, value_enum)]
    pub repeats: Option<RepeatRule>,
    /// Print a mapping for the file, guessed from its header and first rows, and how these rows would be read; send nothing.
    #[arg(long, conflicts_with_all = ["format", "map", "check", "dry_run"])]
    pub guess: bool,
    /// Print which column becomes which field and how the first rows are read; send nothing.
    #[arg(long, conflicts_with = "dry_run")]
    pub check: bool,
    /// Read the whole file and count its rows; send nothing.
    #[arg(long)]
    pub dry_run: bool,
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
    /// Creates the arguments of an import that takes equal rows as the mapping does, and any number of rejected rows.
    pub fn new(file: impl Into<PathBuf>, mapping: impl Into<MappingArgs>, server: ServerArgs) -> Self {
        Self {
            file: file.into(),
            mapping: mapping.into(),
            server,
            follow: false,
            table: TableArgs::default(),
            source: None,
            repeats: None,
            guess: false,
            check: false,
            dry_run: false,
            rejects: None,
            max_rejects: None,
        }
    }

    /// Returns the mapping of the file, and prints its name if it was found by the rows.
    ///
    /// # Errors
    /// If there is none.
    fn chosen(&self) -> Result<Arc<Mapping>> {
        let (mapping, is_found) = self.mapping.mapping(&self.file)?;
        if is_found {
            eprintln!("{} is of format {}: {}", self.file.display(), mapping.name(), mapping.about());
        }
        Ok(match self.repeats {
            Some(repeats) => Arc::new(Mapping::clone(&mapping).with_repeats(repeats)),
            None => mapping,
        })
    }

    /// Creates the file of rejected rows, if there shall be one; it must not be `file`, which is read.
    fn rejects_file(&self, file: Option<&Path>) -> Result<Option<RejectsFile>> {
        let create = |path: &PathBuf| {
            RejectsFile::create(path, file)
                .with_context(|| format!("cannot write the rejected rows to {}", path.display()))
        };
        self.rejects.as_ref().map(create).transpose()
    }
}

/// Imports the file and prints the table, or prints what `--guess`, `--check` or `--dry-run` find.
///
/// # Errors
/// If the file cannot be read to its end, a row is rejected, or the server ends the stream; the table of the rows so far is printed
/// first.
pub async fn run(args: ImportArgs) -> Result<()> {
    if args.guess {
        return inspect::guess(&args.file);
    }
    if args.check {
        return inspect::check(&args.file, &args.chosen()?);
    }
    let mut report = ImportReport::default();
    let outcome = match (objects::address(&args)?, tables::address(&args)?) {
        (Some(address), _) => objects::import(&args, address, &mut report).await,
        (None, Some(url)) => tables::import(&args, &url, &mut report).await,
        (None, None) if args.follow => {
            bail!("--follow goes with s3:// and databases: import the file again when it has grown")
        }
        (None, None) if args.dry_run => inspect::dry_run(&args, &mut report),
        (None, None) => import(&args, &mut report).await,
    };
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
    let others = if args.dry_run { "can be read" } else { "are in" };
    Err(SomeRejected(format!("{rows} were rejected, all others {others}; {remedy}")).into())
}

/// Imports the file. `report` has the counts of rows also after an error.
///
/// # Errors
/// If the file cannot be read to its end, more rows are rejected than `max_rejects`, or the server ends the stream. Fewer rejected
/// rows are no error.
pub async fn import(args: &ImportArgs, report: &mut ImportReport) -> Result<()> {
    let mut rejects = args.rejects_file(Some(&args.file))?;
    import_file(args, rejects.as_mut(), &stopped_by_signal(), report).await
}

/// Imports the file of `args`, with a file of rejected rows that is open, until `stop` is set.
async fn import_file(
    args: &ImportArgs,
    rejects: Option<&mut RejectsFile>,
    stop: &Arc<AtomicBool>,
    report: &mut ImportReport,
) -> Result<()> {
    let started = Instant::now();
    // The server's rejections come later than the rows: only a file for them needs their bytes until then.
    let options = LogOptions { keep_raw: args.rejects.is_some() };
    let name = args.file.display();
    let mapping = args.chosen()?;
    let source = args.source.as_deref().unwrap_or(mapping.name());
    let log = SortedLog::open(&args.file, &mapping, options).with_context(|| name.to_string())?;
    let router = args.server.connect().await?;
    let before = totals(router.clone()).await?;
    let bar = progress::bar();
    let log = log.with_progress(progress::shown_by(bar.clone())).with_stop(Arc::clone(stop));
    let mut rows = ImportRows::new(report, rejects, args.max_rejects);
    let sender = RowSender::new(router.clone(), source);
    let sent = send::send(log, sender, &mut rows).await.and_then(|()| rows.finish());
    let sent = sent.with_context(|| name.to_string());
    bar.finish_and_clear();
    // Also after an error: the table should count what was applied until then.
    let settled = settle(router, &before, report).await;
    report.elapsed += started.elapsed();
    // The first error has precedence: it has the reason why the rows stopped.
    sent.and(settled)
}

/// Returns a flag that the first Ctrl-C sets. The second one ends the process, as it would without an import.
fn stopped_by_signal() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if flag.swap(true, Ordering::Relaxed) {
                // The shell's code for a process that SIGINT ended.
                std::process::exit(130);
            }
        }
    });
    stop
}

/// Returns once Ctrl-C has set the flag.
async fn stopped(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(STOP_INTERVAL).await;
    }
}

/// Waits until the sent events are applied, and counts the duplicates among them.
async fn settle(router: RoleRouter, before: &Totals, report: &mut ImportReport) -> Result<()> {
    client::wait_until_applied(router.clone()).await?;
    // The server counts duplicates when it applies records, so the difference of its counters has them. Concurrent
    // senders of duplicates would be counted too.
    let totals = totals(router).await?;
    report.duplicates += totals.duplicates.saturating_sub(before.duplicates);
    report.kept_ids = totals.kept_ids;
    Ok(())
}

/// Numbers of a deployment since it was created.
struct Totals {
    /// Records that were dropped as duplicates.
    duplicates: u64,
    /// Ids of rows of sources, which are kept for ever.
    kept_ids: u64,
}

/// Returns the numbers of the server's deployment.
async fn totals(router: RoleRouter) -> Result<Totals> {
    let mut feature = FeatureServiceClient::new(router);
    let response =
        feature.list_partitions(ListPartitionsRequest {}).await.map_err(client::Error::from)?.into_inner();
    let partitions = response.partitions.iter();
    Ok(Totals {
        duplicates: partitions.clone().map(|partition| partition.duplicates_total).sum(),
        kept_ids: partitions.map(|partition| partition.sourced_total).sum(),
    })
}

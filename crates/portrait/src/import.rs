//! `portrait import`: sends the rows of a file, of objects or of a table to a server, and prints a table of read, accepted, duplicate
//! and rejected rows. A row that cannot be read is rejected, and the import goes on. Repeating an import is safe, because event ids are
//! derived from the content of rows.

mod args;
mod file;
mod inspect;
mod objects;
mod progress;
mod report;
mod rows;
mod send;
mod session;
mod tables;

pub use args::{ImportArgs, TableArgs};
pub use report::ImportReport;

use crate::incomplete::SomeRejected;
use crate::output;
use anyhow::{Result, bail};
use file::import_file;
use portrait_client::text::words;
use session::stopped_by_signal;

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

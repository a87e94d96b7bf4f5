//! Import of a table of a database: pages in the order of their keys, and new and changed rows as they are committed.

use super::args::{ImportArgs, TableArgs};
use super::progress;
use super::report::ImportReport;
use super::rows::ImportRows;
use super::send::{RowSender, send_page};
use super::session::{settle, stopped, stopped_by_signal, totals};
use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use portrait_client::text::words;
use portrait_connect::databases::{
    AllowedHosts, ConnectOptions, Database, DatabaseUrl, FollowOptions, Password, SourceError, TableFollower,
    TableName, TableOptions, TablePages, TableRow,
};
use portrait_connect::files::LogOptions;
use portrait_connect::table_rows::TableRows;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Beginnings of the addresses of databases.
const SCHEMES: [&str; 4] = ["postgres://", "postgresql://", "mysql://", "mariadb://"];
/// Time between two looks at a table that is followed.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// Rows of a table, once or for ever.
enum TableReader {
    Pages(Box<TablePages>),
    Follower(Box<TableFollower>),
}

/// Returns the address of the database that the arguments name; none for a file or a bucket.
///
/// # Errors
/// If the address is invalid, or a flag does not go with it.
pub(super) fn address(args: &ImportArgs) -> Result<Option<DatabaseUrl>> {
    let text = args.file.to_str().filter(|text| SCHEMES.iter().any(|scheme| text.starts_with(scheme)));
    let Some(text) = text else { return Ok(None) };
    if args.dry_run || args.check || args.guess {
        bail!(
            "--guess, --check and --dry-run read a file: export some rows of the table, and name their file"
        );
    }
    Ok(Some(text.parse()?))
}

/// Imports the rows of a table, and new and changed ones as they come if it is followed.
///
/// # Errors
/// If the database cannot be read, or as the import of a file.
pub(super) async fn import(args: &ImportArgs, url: &DatabaseUrl, report: &mut ImportReport) -> Result<()> {
    let started = Instant::now();
    let of_table = &args.table;
    let name = of_table.table.as_deref().context("a database has many tables: name one with --table")?;
    let table = match name.split_once('.') {
        Some((schema, table)) => TableName::new(Some(schema), table),
        None => TableName::new(None, name),
    };
    let mapping = args.mapping.mapping_of_table()?;
    let source = args.source.as_deref().unwrap_or(mapping.name());
    let mut rejects = args.rejects_file(None)?;
    let mut reader = of_table.open(url, table.clone(), args.follow).await?;
    let router = args.server.connect().await?;
    let before = totals(router.clone()).await?;
    let mut rows = TableRows::new(&mapping, &table, LogOptions { keep_raw: args.rejects.is_some() });
    let mut counted = ImportRows::new(report, rejects.as_mut(), args.max_rejects);
    let stop = stopped_by_signal();
    let bar = progress::spinner();
    let mut sender = RowSender::new(router.clone(), source);
    let mut done = Ok(());
    let mut read = 0;
    while let Some(page) = reader.page(&stop).await? {
        read += page.len() as u64;
        let (page, columns) = rows.read(&page)?;
        done = send_page(page, &mut sender, &mut counted, &columns).await;
        show(&bar, read, started);
        if done.is_err() {
            break;
        }
    }
    bar.finish_and_clear();
    counted.finish()?;
    let settled = settle(router, &before, report).await;
    report.elapsed += started.elapsed();
    done.and(settled)
}

fn show(bar: &ProgressBar, rows: u64, started: Instant) {
    let per_second = rows as f64 / started.elapsed().as_secs_f64().max(0.001);
    bar.set_message(format!("{} rows · {} a second", words::count(rows), words::count(per_second as u64)));
    bar.tick();
}

impl TableArgs {
    async fn open(&self, url: &DatabaseUrl, table: TableName, follows: bool) -> Result<TableReader> {
        let password = self.password_file.as_deref().map(Password::from_file).transpose()?;
        let allow = if self.allow.is_empty() {
            AllowedHosts::any()
        } else {
            AllowedHosts::from_entries(&self.allow)?
        };
        let options =
            ConnectOptions { allow, ca_file: self.database_ca.clone(), ..ConnectOptions::default() };
        let database = Database::connect(url, password.as_ref(), &options).await?;
        let options = TableOptions {
            time_zone: self.time_zone.clone(),
            ..TableOptions::new(table, self.updated_at.as_deref(), &self.key_column)
        };
        let pages = database.pages(options, None).await?;
        if !follows {
            return Ok(TableReader::Pages(Box::new(pages)));
        }
        let follow = FollowOptions::new(FOLLOW_INTERVAL, Duration::from_secs(self.overlap));
        Ok(TableReader::Follower(Box::new(pages.follow(follow)?)))
    }
}

impl TableReader {
    /// Returns the next rows; none at the end of a table that is not followed, or after Ctrl-C.
    async fn page(&mut self, stop: &AtomicBool) -> Result<Option<Vec<TableRow>>, SourceError> {
        let next = async {
            match self {
                Self::Pages(pages) => pages.next().await,
                Self::Follower(follower) => follower.next().await,
            }
        };
        tokio::select! {
            page = next => page.map(|page| Some(page).filter(|page| !page.is_empty())),
            () = stopped(stop) => Ok(None),
        }
    }
}

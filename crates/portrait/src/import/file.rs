//! Import of a file.

use super::args::ImportArgs;
use super::progress;
use super::report::ImportReport;
use super::rows::ImportRows;
use super::send::{self, RowSender};
use super::session::{settle, totals};
use anyhow::{Context, Result};
use portrait_connect::files::{LogOptions, RejectsFile, SortedLog};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Imports the file of `args`, with a file of rejected rows that is open, until `stop` is set.
pub(super) async fn import_file(
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

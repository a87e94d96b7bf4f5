//! Progress bar of an import, with the time left.

use indicatif::{ProgressBar, ProgressStyle};
use portrait_client::text::words;
use portrait_connect::files::{LogPass, LogProgress};
use std::time::{Duration, Instant};

/// Creates a progress bar. Its length is that of the current pass, and its message counts rows.
pub(super) fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:30} {percent:>3}% {msg} · {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

/// Creates a spinner, for rows whose number is not known.
pub(super) fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} reading {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

/// Shows the progress of both passes in one bar.
pub(super) fn shown_by(bar: ProgressBar) -> impl FnMut(LogProgress) + Send + 'static {
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

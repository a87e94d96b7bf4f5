//! Evaluation of `portrait eval`: how much better a live profile predicts the next item than a stale one. Reads a
//! log; writes a table, JSON, and a page with plots. Profiles are folded and recommendations are made by the code of
//! the server; only the age of the profile differs.
//!
//! The protocol is prequential with one temporal split. Item statistics are learned from the profiles at 70% of the
//! events; every later event is predicted from the user's profile of the events before it, less the newest by
//! staleness. Weights are fitted for each staleness on the events from 55% to 70%, so that a stale profile is read
//! with the weights that suit it. A control shuffles each user's later events over the same times: the gain of live
//! over stale that remains there comes from having more events, not from having newer ones.

mod args;
mod evaluator;
mod figures;
mod history;
mod measure;
mod page;
mod probabilities;
mod protocol;
mod segments;
mod staleness;
mod table;
#[cfg(test)]
pub(crate) mod testing;

pub use args::EvalArgs;
pub(crate) use history::{EventLog, LogArgs, LogUser};

use anyhow::{Context, Result};
use portrait_connect::files::private_file;
use std::io::{self, Write};
use std::path::Path;

/// Evaluates a log and prints the report.
///
/// # Errors
/// If the log cannot be read or has too few events to predict, or a file cannot be written.
pub async fn run(args: EvalArgs) -> Result<()> {
    // The evaluation is pure computation: it must not block a thread of the runtime.
    let report = tokio::task::spawn_blocking(move || evaluate(&args)).await??;
    print!("{}", table::of(&report));
    Ok(())
}

/// Writes a report that only its owner can read: reports may name users.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    private_file(path)?.write_all(text.as_bytes())
}

fn evaluate(args: &EvalArgs) -> Result<figures::EvalReport> {
    let log = EventLog::read(&args.log)?;
    let report = protocol::run(&log, args)?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        write_private(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &args.html {
        let page = page::of(&report);
        write_private(path, &page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(report)
}

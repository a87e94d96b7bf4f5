//! `portrait eval`: does a profile that is kept live beat one that is stale? In goes a log; out go a table, JSON, and a page with
//! plots. Recommendations are made as the server makes them, from profiles that are folded as the server folds them; only how old
//! the profile is differs.
//!
//! The protocol is prequential with one split of time for all: what things are like is learned from profiles at 70% of the events,
//! then every later event is to be foretold from the shopper's profile of the events before it, less the newest by staleness.
//! How much parts count is found for each staleness by itself, on the events from 55% to 70%, so that a stale profile is not read
//! as if it were live. A control deals each shopper's later events anew over the same times: what live gains there it gains from
//! having more events, not newer ones.

mod chances;
mod figures;
mod history;
mod judge;
mod measure;
mod page;
mod protocol;
mod segments;
mod staleness;
mod table;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use history::{Log, LogArgs, Shopper};

use anyhow::{Context, Result};
use clap::Args;
use std::path::PathBuf;

/// The arguments of `portrait eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// What to read.
    #[command(flatten)]
    pub log: LogArgs,
    /// How many events are foretold at most; from more, so many are drawn.
    #[arg(long, default_value_t = 30_000)]
    pub targets: usize,
    /// How many events weights are found on at most.
    #[arg(long, default_value_t = 3_000)]
    pub examples: usize,
    /// All that is drawn follows from it.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with plots.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Measures and prints.
///
/// # Errors
/// If the log cannot be read or has too little to foretell, or a file cannot be written.
pub async fn run(args: EvalArgs) -> Result<()> {
    let report = tokio::task::spawn_blocking(move || measured(&args)).await??;
    print!("{}", table::of(&report));
    Ok(())
}

fn measured(args: &EvalArgs) -> Result<figures::Report> {
    let log = Log::read(&args.log)?;
    let report = protocol::run(&log, args)?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &args.html {
        std::fs::write(path, page::of(&report))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(report)
}

//! Arguments of `portrait eval`, for the command and the protocol alike.

use super::history::LogArgs;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `portrait eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Log to read and its filters.
    #[command(flatten)]
    pub log: LogArgs,
    /// Events to predict, at most; a sample is drawn from more.
    #[arg(long, default_value_t = 30_000)]
    pub targets: usize,
    /// Events that weights are fitted on, at most.
    #[arg(long, default_value_t = 3_000)]
    pub examples: usize,
    /// Seed of all random draws.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with plots.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

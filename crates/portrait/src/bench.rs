//! `portrait bench`: measures a server on this machine, each figure beside what bounds it, in one run. In comes how much to
//! do, out go a table and JSON. Nothing here is part of serving.

mod bare;
mod drift;
mod freshness;
mod identity;
mod load;
mod models;
mod reads;
mod sweep;
mod throughput;

use self::throughput::Target;
use crate::import::Format;
use crate::node::Config;
use anyhow::{Context, Result};
use clap::Args;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The arguments of `portrait bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// How many events, each of another shopper.
    #[arg(long, default_value_t = 300_000)]
    distinct: usize,
    /// A real log for the second load; without one, the simulated shop's shoppers are used.
    #[arg(long, value_name = "FILE", requires = "format")]
    log: Option<PathBuf>,
    /// The log's format.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// How many events of the log at most.
    #[arg(long, default_value_t = 800_000)]
    log_events: usize,
    /// How many shoppers are looked at for a new model while events come in.
    #[arg(long, default_value_t = 200_000)]
    sweep_shoppers: usize,
    /// Seconds for each latency figure.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Where to keep the stores while measuring; the disk is part of what is measured [default: beside the binary's data].
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    scratch: PathBuf,
    /// Where the figures go as JSON.
    #[arg(long, value_name = "FILE", default_value = "bench-results.json")]
    json: PathBuf,
}

/// One figure beside what it is judged by.
#[derive(Debug, Serialize)]
struct Figure {
    /// What was measured.
    path: String,
    /// What came out, with its unit.
    measured: String,
    /// What bounds it on this machine, in this run.
    beside: String,
    /// Measured divided by what is beside it.
    ratio: Option<f64>,
    /// The same as numbers, the unit in the name.
    values: BTreeMap<&'static str, f64>,
    /// What it should be.
    target: &'static str,
    /// Whether it is.
    met: bool,
}

/// Measures everything and prints it.
pub async fn run(args: BenchArgs) -> Result<()> {
    let distinct = load::distinct_users(args.distinct);
    let (name, repeated) = load::repeated_users(args.log.as_deref().zip(args.format), args.log_events)?;
    let (scratch, seconds) = (args.scratch.as_path(), args.seconds);
    let mut figures = Vec::new();
    let bar = bar();

    bar.set_message("throughput, every event another shopper's");
    let share = (Target::ShareOfBare(0.5), ">= 0.5 of the bare store loop, goal 1.0");
    throughput::measure("every event another shopper's", &distinct, share, scratch, &mut figures).await?;
    bar.inc(1);

    bar.set_message(format!("throughput, {name}"));
    let rate = (Target::EventsPerSecond(100_000.0), ">= 100,000 events/s");
    let with_log = throughput::measure(&name, &repeated, rate, scratch, &mut figures).await?;
    bar.inc(1);

    bar.set_message("freshness at half of that");
    let half = with_log.events_per_second / 2.0;
    freshness::measure(half, &repeated, seconds, scratch, &mut figures).await?;
    bar.inc(1);

    bar.set_message("reads beside a bare echo");
    reads::measure(&repeated, seconds, scratch, &mut figures).await?;
    bar.inc(1);

    bar.set_message("from a model's activation to every node");
    models::measure(&repeated, scratch, &mut figures).await?;
    bar.inc(1);

    bar.set_message("events while everybody is looked at for a new model");
    sweep::measure(args.sweep_shoppers, seconds, scratch, &mut figures).await?;
    bar.inc(1);

    bar.set_message("who keeps the segment");
    identity::measure(&repeated, &mut figures)?;
    bar.inc(1);

    bar.set_message("how soon drift is noticed");
    drift::measure(&mut figures)?;
    bar.finish_and_clear();

    println!("{}", table(&figures));
    let json = serde_json::to_string_pretty(&figures)?;
    std::fs::write(&args.json, json).with_context(|| format!("cannot write {}", args.json.display()))
}

/// A node that trains when it is asked and at no other time: a training beside a measurement would be measured.
fn config(folder: &Path) -> Config {
    let mut config = Config::on_free_ports(folder);
    config.model.automatic = false;
    config
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:20} {elapsed} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(8).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["path", "measured", "beside it, same run", "ratio", "target", "met"]);
    for figure in figures {
        table.add_row([
            figure.path.clone(),
            figure.measured.clone(),
            figure.beside.clone(),
            figure.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            figure.target.to_owned(),
            if figure.met { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

//! `portrait demo`: a server in this process, a shop's events through it over gRPC, and what its profiles then say, narrated as
//! it happens. In goes nothing, and a simulated shop is told; or a real log, and that is. Out goes text; everything the
//! server kept is deleted at the end. The narration reads profiles as any client would: nothing is looked up behind the API.

mod cast;
mod facts;
mod feed;
mod learning;
mod log;
mod memberships;
mod narrator;
mod planted;
mod probe;
mod story;
mod summary;
mod tally;
mod telling;
#[cfg(test)]
mod tests;
mod training;
mod watcher;

pub use narrator::{Narrator, Terminal};
pub use story::{Outcome, Script, run_against};

use crate::simulate::{Shop, SimulateConfig};
use anyhow::Result;
use clap::Args;
use portrait_connect::files::Format;
use portrait_node::{Config, Node, Role};
use portrait_runtime::SystemClock;
use portrait_store::ProfileClock;
use std::path::PathBuf;
use std::sync::Arc;

/// Profiles that are looked at in a second for a new model.
const SWEEP_RATE: u32 = 1_000_000;

/// The arguments of `portrait demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// A real event log to tell instead of a simulated shop.
    #[arg(value_name = "FILE", requires = "format")]
    pub file: Option<PathBuf>,
    /// The log's format.
    #[arg(long, value_enum, requires = "file")]
    pub format: Option<Format>,
    /// How many shoppers the simulated shop has. Drift of single components is judged from 2,000 on who have come.
    #[arg(long, default_value_t = 2_500, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub shoppers: u32,
    /// How many days are told.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(3..=365))]
    pub days: u32,
    /// Which simulated shop: the same number is the same shop.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
}

/// Starts a server, tells it everything, shows what it learned, and stops it.
///
/// # Errors
/// If the server cannot be started, anything is refused, or a profile does not hold exactly what was sent.
pub async fn run(args: DemoArgs) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("portrait-demo-").tempdir()?;
    let mut config = Config::on_free_ports(folder.path());
    // What is told happened on other days than today: profiles are read at the time of the shop.
    config.profiles.clock = ProfileClock::Events;
    // Nobody else waits for this server: everybody is looked at for a new model in one go.
    config.feature.sweep_rate = SWEEP_RATE;
    let shop = SimulateConfig { shoppers: args.shoppers, days: args.days, ..Default::default() };
    let mut script = Script { seed: args.seed, shop, least: config.model.rows_min };
    if args.file.is_none() {
        script.least = script.least.max(story::come_by_first_model(&Shop::new(args.seed, shop)));
        let least = script.least;
        config.model = paced(portrait_model::Config { rows_min: least, ..config.model });
    }
    let node = Node::start(Role::All, config).await?;
    let mut terminal = Terminal::new();
    terminal.say(&format!(
        "a server with all roles listens at {}; its store is {}",
        node.grpc_url(),
        folder.path().display()
    ));
    let told = match args.file.zip(args.format) {
        Some((file, format)) => {
            log::run_against(&node.grpc_url(), &file, format, script.least, &mut terminal).await
        }
        None => run_against(&node.grpc_url(), &script, Arc::new(SystemClock), &mut terminal).await.map(drop),
    };
    terminal.end();
    // The server is stopped whatever was told, and its files go with the folder.
    node.stop().await.and(told.map(drop))
}

/// A server's own times go by the clock on the wall, on which a day of the story takes milliseconds: it looks for drift when the
/// story asks for it, on every evening, and learns a model if it has found drift on three in a row.
fn paced(config: portrait_model::Config) -> portrait_model::Config {
    portrait_model::Config { volume: 0, drift_interval: config.interval, ..config }
}

//! Demo of `portrait demo`: a server in this process, the events of a shop through it over gRPC, and a narration of
//! what its profiles show. The events come from a simulated shop or from a real log; everything stored is deleted at
//! the end. The narration reads profiles as any client would: nothing bypasses the API.

mod facts;
mod feed;
mod learning;
mod log;
mod memberships;
mod narration;
mod narrator;
mod personas;
mod planted;
mod probe;
mod sent_counts;
mod story;
mod summary;
#[cfg(test)]
mod tests;
mod training;
mod watcher;

pub use narrator::{Narrator, Terminal};
pub use story::{DemoReport, DemoScript, run_against};

use crate::simulate::{ShopSimulator, SimulateConfig};
use anyhow::Result;
use clap::Args;
use portrait_connect::files::MappingArgs;
use portrait_node::{Config, Node, NodeRole};
use portrait_runtime::SystemClock;
use portrait_store::ProfileClock;
use std::path::PathBuf;
use std::sync::Arc;

/// Sweep rate in profiles per second: high enough that a sweep is one pass.
const SWEEP_PROFILES_PER_SECOND: u32 = 1_000_000;

/// Arguments of `portrait demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Real event log to send instead of a simulated shop.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Mapping of the log.
    #[command(flatten)]
    pub mapping: MappingArgs,
    /// Users of the simulated shop. Drift of single features is checked from 2,000 active users on.
    #[arg(long, default_value_t = 2_500, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub users: u32,
    /// Days to simulate.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(3..=365))]
    pub days: u32,
    /// Seed of the simulated shop; the same seed gives the same shop.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
}

/// Starts a server, sends it all events, narrates what it learned, and stops it.
///
/// # Errors
/// If the server cannot be started, an event is rejected, or a profile does not contain exactly what was sent.
pub async fn run(args: DemoArgs) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("portrait-demo-").tempdir()?;
    let mut config = Config::on_free_ports(folder.path());
    // The events are of other days than today: profiles are read at the time of the events.
    config.profiles.clock = ProfileClock::Events;
    // There is no other load on this server: a sweep need not be throttled.
    config.feature.sweep_profiles_per_second = SWEEP_PROFILES_PER_SECOND;
    let shop = SimulateConfig { users: args.users, days: args.days, ..Default::default() };
    let mut script = DemoScript { seed: args.seed, shop, users_min: config.model.rows_min };
    if args.file.is_none() {
        // Drift is measured against the first model: it must have seen nearly all users.
        script.users_min =
            script.users_min.max(story::users_by_first_model(&ShopSimulator::new(args.seed, shop)));
        let users_min = script.users_min;
        config.model = paced(portrait_model::Config { rows_min: users_min, ..config.model });
    }
    let rules = config.ingest.clone();
    // Ports and folder are temporary: several demos may run at once.
    let node = Node::start(NodeRole::All, config).await?;
    let mut terminal = Terminal::new();
    terminal.line(&format!(
        "a server with all roles listens at {}; its store is {}",
        node.grpc_url(),
        folder.path().display()
    ));
    let log = args.file.map(|file| Ok((args.mapping.mapping(&file)?.0, file)));
    let result = match log.transpose() {
        Err(error) => Err(error),
        Ok(Some((mapping, file))) => {
            log::run_against(&node.grpc_url(), &file, &mapping, script.users_min, &rules, &mut terminal).await
        }
        Ok(None) => {
            run_against(&node.grpc_url(), &script, Arc::new(SystemClock), &mut terminal).await.map(drop)
        }
    };
    terminal.end();
    node.stop().await.and(result.map(drop))
}

/// Model configuration without triggers of its own. The server's intervals follow the wall clock, on which a
/// simulated day takes milliseconds: the narration requests a drift check every evening instead, and the server
/// trains after three consecutive checks with drift.
fn paced(config: portrait_model::Config) -> portrait_model::Config {
    portrait_model::Config {
        retrain_after_records: 0,
        retrain_on_growth: false,
        drift_interval: config.interval,
        ..config
    }
}

//! Throughput of the whole path: gRPC stream, validation, log, fold, commit. The bound from the same run is the store
//! alone on the same records, or plain writes to the same server.

use super::bare::{self, AppendTiming};
use super::env::BenchEnv;
use super::figure::Figure;
use super::{load, redis};
use anyhow::{Context, Result};
use portrait_client as client;
use portrait_node::{Node, NodeRole};
use portrait_proto::v1::Event;
use std::time::Instant;

/// Result of one load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Throughput {
    /// Events per second through the whole path.
    pub(super) events_per_second: f64,
}

/// Load with its environment, bound and target.
#[derive(Clone, Copy)]
pub(super) struct ThroughputLoad<'a> {
    /// Name of the load in the table.
    pub(super) name: &'a str,
    pub(super) events: &'a [Event],
    pub(super) env: &'a BenchEnv,
    pub(super) baseline: ThroughputBaseline,
    pub(super) target: ThroughputTarget,
    /// Target in words, for the table.
    pub(super) target_text: &'static str,
}

/// Bound of the throughput.
#[derive(Clone, Copy, Debug)]
pub(super) enum ThroughputBaseline {
    /// Same records, straight to the store.
    Bare(AppendTiming),
    /// Pipelined writes to a Redis server by its own benchmark.
    Xadd,
}

/// Target of a load.
#[derive(Clone, Copy, Debug)]
pub(super) enum ThroughputTarget {
    /// Minimum share of the bound.
    Share(f64),
    /// Minimum events per second.
    EventsPerSecond(f64),
}

/// Turns in which both sides alternate; the medians are compared, because one slow run of the disk would spoil a
/// mean.
const TURNS: usize = 3;

/// Measures the whole path to a new server and the bound, in turns.
pub(super) async fn measure(load: ThroughputLoad<'_>, figures: &mut Vec<Figure>) -> Result<Throughput> {
    let mut whole = Vec::new();
    let mut baseline = Vec::new();
    for _ in 0..TURNS {
        whole.push(whole_path(load.events, load.env).await?);
        baseline.push(load.baseline.measure(load.events, load.env).await?);
    }
    let events_per_second = median(whole);
    let baseline_per_second = median(baseline);
    let ratio = events_per_second / baseline_per_second;
    let met = match load.target {
        ThroughputTarget::Share(share) => ratio >= share,
        ThroughputTarget::EventsPerSecond(min) => events_per_second >= min,
    };
    figures.push(Figure {
        path: format!(
            "`TrackStream` to committed profile, {}, {} ({} events)",
            load.env.describe(),
            load.name,
            load.events.len()
        ),
        measured: format!("{events_per_second:.0} events/s"),
        baseline: format!("{}: {baseline_per_second:.0}/s", load.baseline.describe()),
        ratio: Some(ratio),
        values: [("events_per_second", events_per_second), (load.baseline.unit(), baseline_per_second)]
            .into(),
        target: load.target_text,
        met,
    });
    Ok(Throughput { events_per_second })
}

/// Events per second of a new server, from the first event sent to the last one in its profile.
async fn whole_path(events: &[Event], env: &BenchEnv) -> Result<f64> {
    let store = env.new_store().await?;
    let node = Node::start(NodeRole::All, store.config()).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    // Every partition gets its worker before the measurement.
    client::send_all(channel.clone(), &load::warm_up_users()).await?;
    client::wait_until_applied(channel.clone()).await?;
    let started = Instant::now();
    client::send_all(channel.clone(), events).await?;
    // Acknowledged is not applied: the clock runs until the last profile is committed.
    client::wait_until_applied(channel).await?;
    let events_per_second = events.len() as f64 / started.elapsed().as_secs_f64();
    node.stop().await?;
    Ok(events_per_second)
}

impl ThroughputBaseline {
    async fn measure(self, events: &[Event], env: &BenchEnv) -> Result<f64> {
        match self {
            Self::Bare(appends) => bare::measure(events, env, appends).await,
            Self::Xadd => {
                let store = env.new_store().await?;
                store.server().context("an embedded store has no server")?.xadds_per_second().await
            }
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Bare(AppendTiming::During) => "bare store loop with appends".to_owned(),
            Self::Bare(AppendTiming::Before) => "bare worker loop on a full log".to_owned(),
            Self::Xadd => redis::xadd_description(),
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Bare(_) => "bare_events_per_second",
            Self::Xadd => "xadds_per_second",
        }
    }
}

fn median(mut turns: Vec<f64>) -> f64 {
    turns.sort_by(f64::total_cmp);
    // Exact for the odd number of turns.
    turns[turns.len() / 2]
}

//! How many events a second go the whole way: gRPC stream, check, log, fold, commit. Beside it, in the same run, what bounds it:
//! the store alone on the same records, or plain writes to the same server.

use super::bare::{self, Appends};
use super::figure::Figure;
use super::ground::Ground;
use super::{load, redis};
use anyhow::{Context, Result};
use portrait_client as client;
use portrait_node::{Node, Role};
use portrait_proto::v1::Event;
use std::time::Instant;

/// What one load gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Throughput {
    /// The whole way.
    pub(super) events_per_second: f64,
}

/// One load, what it is measured on and what it is judged by.
#[derive(Clone, Copy)]
pub(super) struct Load<'a> {
    /// Whose events they are.
    pub(super) name: &'a str,
    pub(super) events: &'a [Event],
    pub(super) ground: &'a Ground,
    pub(super) beside: Beside,
    pub(super) target: Target,
    /// The target in words.
    pub(super) told: &'static str,
}

/// What stands beside the whole way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Beside {
    /// The same records with nothing in front of the store.
    Bare(Appends),
    /// Pipelined writes to a server of Redis by its own benchmark.
    Xadd,
}

/// Which target a load is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// At least this share of what is beside it.
    Share(f64),
    /// At least this many events a second.
    EventsPerSecond(f64),
}

/// Both sides are measured this often, in turns; the medians are compared.
const TURNS: usize = 3;

/// Sends the events to a new server until every profile is current, and then does what is beside it, in turns.
pub(super) async fn measure(load: Load<'_>, figures: &mut Vec<Figure>) -> Result<Throughput> {
    let (mut whole, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        whole.push(whole_way(load.events, load.ground).await?);
        beside.push(load.beside.measure(load.events, load.ground).await?);
    }
    let (events_per_second, beside_per_second) = (median(whole), median(beside));
    let ratio = events_per_second / beside_per_second;
    let met = match load.target {
        Target::Share(share) => ratio >= share,
        Target::EventsPerSecond(least) => events_per_second >= least,
    };
    let (path, unit) = (load.ground.told(), load.beside.unit());
    figures.push(Figure {
        path: format!(
            "`TrackStream` to committed profile, {path}, {} ({} events)",
            load.name,
            load.events.len()
        ),
        measured: format!("{events_per_second:.0} events/s"),
        beside: format!("{}: {beside_per_second:.0}/s", load.beside.told()),
        ratio: Some(ratio),
        values: [("events_per_second", events_per_second), (unit, beside_per_second)].into(),
        target: load.told,
        met,
    });
    Ok(Throughput { events_per_second })
}

/// Events a second of a new server, from the first one sent to the last one in its profile.
async fn whole_way(events: &[Event], ground: &Ground) -> Result<f64> {
    let fresh = ground.fresh().await?;
    let node = Node::start(Role::All, fresh.config()).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    // Every partition has its worker then.
    client::send_all(channel.clone(), &load::strangers()).await?;
    client::wait_until_applied(channel.clone()).await?;
    let begun = Instant::now();
    client::send_all(channel.clone(), events).await?;
    client::wait_until_applied(channel).await?;
    let events_per_second = events.len() as f64 / begun.elapsed().as_secs_f64();
    node.stop().await?;
    Ok(events_per_second)
}

impl Beside {
    async fn measure(self, events: &[Event], ground: &Ground) -> Result<f64> {
        match self {
            Self::Bare(appends) => bare::measure(events, ground, appends).await,
            Self::Xadd => {
                let fresh = ground.fresh().await?;
                fresh.server().context("an embedded store has no server")?.xadds_per_second().await
            }
        }
    }

    fn told(self) -> String {
        match self {
            Self::Bare(Appends::Meanwhile) => "bare store loop, appends and all".to_owned(),
            Self::Bare(Appends::Before) => "bare worker loop, the log being there".to_owned(),
            Self::Xadd => redis::ceiling(),
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
    turns[turns.len() / 2]
}

//! How many events a second go the whole way: gRPC stream, check, log on disk, fold, commit. Beside it, in the same run, the
//! store alone on the same records.

use super::{Figure, bare};
use crate::client;
use crate::node::{Node, Role};
use anyhow::Result;
use portrait_proto::v1::Event;
use std::path::Path;
use std::time::Instant;

/// What one load gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Throughput {
    /// The whole way.
    pub(super) events_per_second: f64,
}

/// Which target a load is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// At least this share of the bare store loop.
    ShareOfBare(f64),
    /// At least this many events a second.
    EventsPerSecond(f64),
}

/// Both sides are measured this often, in turns; the medians are compared.
const TURNS: usize = 3;

/// Sends `events` to a new server until every profile is current, and then the same to a bare store, in turns.
pub(super) async fn measure(
    name: &str,
    events: &[Event],
    target: (Target, &'static str),
    scratch: &Path,
    figures: &mut Vec<Figure>,
) -> Result<Throughput> {
    let (mut whole, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        whole.push(whole_way(events, scratch).await?);
        bare.push(bare::measure(events, scratch).await?);
    }
    let (events_per_second, bare_per_second) = (median(whole), median(bare));
    let ratio = events_per_second / bare_per_second;
    let met = match target.0 {
        Target::ShareOfBare(share) => ratio >= share,
        Target::EventsPerSecond(least) => events_per_second >= least,
    };
    figures.push(Figure {
        path: format!("`TrackStream` to committed profile, disk, {name} ({} events)", events.len()),
        measured: format!("{events_per_second:.0} events/s"),
        beside: format!("bare store loop {bare_per_second:.0} events/s"),
        ratio: Some(ratio),
        values: [("events_per_second", events_per_second), ("bare_events_per_second", bare_per_second)]
            .into(),
        target: target.1,
        met,
    });
    Ok(Throughput { events_per_second })
}

/// Events a second of a new server, from the first one sent to the last one in its profile.
async fn whole_way(events: &[Event], scratch: &Path) -> Result<f64> {
    let folder = tempfile::tempdir_in(scratch)?;
    let node = Node::start(Role::All, super::config(folder.path())).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    let begun = Instant::now();
    client::send_all(channel.clone(), events).await?;
    client::wait_until_applied(channel).await?;
    let events_per_second = events.len() as f64 / begun.elapsed().as_secs_f64();
    node.stop().await?;
    Ok(events_per_second)
}

fn median(mut turns: Vec<f64>) -> f64 {
    turns.sort_by(f64::total_cmp);
    turns[turns.len() / 2]
}

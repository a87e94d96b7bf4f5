//! How many events a second go the whole way: gRPC stream, check, log on disk, fold, commit. Beside it, in the same run, the
//! store alone on the same records.

use super::{Figure, bare};
use crate::client;
use crate::node::{Config, Node, Role};
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

/// Sends `events` to a new server until every profile is current, and then the same to a bare store.
pub(super) async fn measure(
    name: &str,
    events: &[Event],
    target: (Target, &'static str),
    scratch: &Path,
    figures: &mut Vec<Figure>,
) -> Result<Throughput> {
    let folder = tempfile::tempdir_in(scratch)?;
    let node = Node::start(Role::All, Config::on_free_ports(folder.path())).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    let begun = Instant::now();
    client::send_all(channel.clone(), events).await?;
    client::wait_until_applied(channel).await?;
    let events_per_second = events.len() as f64 / begun.elapsed().as_secs_f64();
    node.stop().await?;
    let bare_per_second = bare::measure(events, scratch).await?;
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
        target: target.1,
        met,
    });
    Ok(Throughput { events_per_second })
}

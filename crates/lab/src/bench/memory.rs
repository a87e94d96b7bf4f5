//! Memory per user in Redis: a node applies the events of a log, repeated for copies of its users, and `MEMORY USAGE`
//! of every key is summed. Log, feed and record ids are reported apart, because they expire and profiles stay.

use super::env::BenchEnv;
use super::figure::Figure;
use super::load;
use anyhow::{Context, Result};
use portrait_client as client;
use portrait_connect::files::Format;
use portrait_node::{Node, NodeRole};
use portrait_proto::v1::Event;
use std::path::PathBuf;
use std::str::FromStr;

/// Users of one figure.
const USERS: usize = 100_000;
/// Events of one figure, at most.
const EVENTS_MAX: usize = 1_500_000;

/// Log whose users are measured, written `FORMAT=FILE`.
#[derive(Clone, Debug)]
pub(super) struct UsersOf {
    format: Format,
    path: PathBuf,
}

impl FromStr for UsersOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, path) = text.split_once('=').ok_or("write FORMAT=FILE, as rees46=october.csv.gz")?;
        Ok(Self { format: clap::ValueEnum::from_str(format, true)?, path: path.into() })
    }
}

impl UsersOf {
    /// Reads the log; returns a name for the table and the events.
    pub(super) fn read(&self) -> Result<(String, Vec<Event>)> {
        let name = format!("users of {}", load::file_name(&self.path)?);
        Ok((name, load::events_of(&self.path, &self.format.mapping(), EVENTS_MAX)?))
    }

    /// Target in bytes per user, as a number and in words; none for logs without one.
    pub(super) fn target(&self) -> Option<(f64, &'static str)> {
        match self.format.name() {
            // Targets hold for logs of known density only: bytes per user grow with the history.
            "rees46" | "taobao" => Some((1000.0, "<= 1.0 KB a user")),
            "complete-journey" => Some((4000.0, "<= 4 KB a user")),
            _ => None,
        }
    }
}

/// Measures the memory of the users of `events`.
pub(super) async fn measure(
    name: &str,
    events: &[Event],
    target: Option<(f64, &'static str)>,
    env: &BenchEnv,
    figures: &mut Vec<Figure>,
) -> Result<()> {
    let (events, users) = load::with_copies(events, USERS, EVENTS_MAX);
    let store = env.new_store().await?;
    let server = store.server().context("an embedded store has no server")?;
    let node = Node::start(NodeRole::All, store.config()).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    // An empty server uses memory as well: only the growth counts.
    let before = server.memory()?;
    client::send_all(channel.clone(), &events).await?;
    client::wait_until_applied(channel).await?;
    let after = server.memory()?;
    node.stop().await?;
    let per_user = |names: &[&str]| {
        let bytes: u64 = names.iter().filter_map(|name| after.by_name.get(*name)).sum();
        // Fixed costs of a key are shared by few users in a small log: hence the copies.
        bytes as f64 / users as f64
    };
    let profile = per_user(&["profiles"]);
    let log = per_user(&["log"]);
    let feed = per_user(&["changes"]);
    let record_ids = per_user(&["seen", "windows"]);
    let used = after.used.saturating_sub(before.used) as f64 / users as f64;
    let (bytes_max, target_text) = target.unwrap_or((f64::INFINITY, "reported only"));
    figures.push(Figure {
        path: format!("memory in Redis of {users} {name}, {} events", events.len()),
        measured: format!("{profile:.0} bytes a user: key, profile and all inputs of its feature vector"),
        baseline: format!(
            "apart, bytes a user: log {log:.0}, feed {feed:.0}, record ids {record_ids:.0}; server in all {used:.0}"
        ),
        ratio: None,
        values: [
            ("profile_bytes", profile),
            ("log_bytes", log),
            ("feed_bytes", feed),
            ("seen_bytes", record_ids),
            ("used_bytes", used),
            ("users", users as f64),
        ]
        .into(),
        target: target_text,
        met: profile <= bytes_max,
    });
    Ok(())
}

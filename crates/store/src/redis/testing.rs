//! Servers of Redis for tests: real processes on free ports of this machine, each in a folder of its own, ended with the value
//! that stands for them. In come settings; out come addresses. Whatever does not come about within [`PATIENCE`] is a panic
//! that says what, and never a test that is passed over.

mod cluster;
mod proxy;
mod server;
mod tls;

pub use cluster::Cluster;
pub use proxy::{Held, Moment, Proxy, Step};
pub use server::Server;
pub use tls::Certificates;

use std::time::{Duration, Instant};

/// How long anything here may take to come about.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until `so` is.
///
/// # Panics
/// If it is not within [`PATIENCE`]; `what` says what was waited for.
#[expect(clippy::disallowed_methods, reason = "a test waits in real time")]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(PAUSE);
    }
}

/// A primary and its one replica.
pub struct Pair {
    /// The primary.
    pub primary: Server,
    /// The replica.
    pub replica: Server,
}

impl Pair {
    /// Starts both with `settings`, and waits until the replica has what the primary has.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let primary = Server::start(settings);
        let of_primary = format!("127.0.0.1 {}", primary.port());
        let replica = Server::start(&[settings, &[("replicaof", &of_primary)]].concat());
        let pair = Self { primary, replica };
        pair.until_together();
        pair
    }

    /// Waits until the replica has what the primary has.
    pub fn until_together(&self) {
        until("the replica is in step", || self.primary.is_followed_by(&self.replica));
    }
}

//! Primary with one replica.

use super::server::Server;
use super::wait::until;

/// Running primary with one replica.
pub struct Pair {
    /// Server that began as primary.
    pub primary: Server,
    /// Server that began as replica.
    pub replica: Server,
}

impl Pair {
    /// Starts both with `settings`, and waits until the replica is in sync.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let primary = Server::start(settings);
        let of_primary = format!("127.0.0.1 {}", primary.port());
        let replica = Server::start(&[settings, &[("replicaof", &of_primary)]].concat());
        let pair = Self { primary, replica };
        pair.wait_in_sync();
        pair
    }

    /// Waits until the replica is in sync.
    pub fn wait_in_sync(&self) {
        until("the replica is in sync", || self.primary.is_followed_by(&self.replica));
    }
}

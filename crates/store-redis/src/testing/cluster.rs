//! Cluster of three primaries with a replica each, formed by commands: slots are assigned, the servers meet, the replicas follow. The
//! cluster is ready when every server reports so.

use super::server::Server;
use super::wait::until;

/// Number of primaries, and of replicas.
const PRIMARIES: usize = 3;
/// Number of slots of a cluster.
const SLOTS: usize = 16384;

/// Running cluster of six servers.
pub struct Cluster {
    /// Three servers that began as primaries, then the replica of each.
    pub servers: Vec<Server>,
}

impl Cluster {
    /// Starts a cluster with `settings` in every server.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let own = [("cluster-enabled", "yes"), ("cluster-node-timeout", "1000")];
        let settings = [&own[..], settings].concat();
        let servers: Vec<Server> = (0..2 * PRIMARIES).map(|_| Server::start(&settings)).collect();
        let cluster = Self { servers };
        cluster.form();
        cluster
    }

    /// Returns the URL that a store is opened with.
    pub fn url(&self) -> String {
        let servers: Vec<String> =
            self.servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
        format!("redis-cluster://{}", servers.join(","))
    }

    /// Returns the indices of the servers that began as primary and as replica of a key's slot.
    pub fn shard_of(&self, key: &str) -> (usize, usize) {
        let slot: usize = self.servers[0].command(&format!("CLUSTER KEYSLOT {key}"));
        let primary = (0..PRIMARIES).find(|index| slot < end_of(*index)).unwrap_or(PRIMARIES - 1);
        (primary, primary + PRIMARIES)
    }

    fn form(&self) {
        let mut first_slot = 0;
        for (index, server) in self.servers.iter().enumerate() {
            server.command::<()>(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1));
            if index < PRIMARIES {
                server.command::<()>(&format!("CLUSTER ADDSLOTSRANGE {first_slot} {}", end_of(index) - 1));
                first_slot = end_of(index);
            }
        }
        for server in &self.servers[1..] {
            let (port, cluster_port) = (server.port(), server.cluster_port());
            self.servers[0].command::<()>(&format!("CLUSTER MEET 127.0.0.1 {port} {cluster_port}"));
        }
        let all = Some((2 * PRIMARIES).to_string());
        self.until_all("every server knows the others", |server| {
            server.info_of_cluster("cluster_known_nodes") == all
        });
        for index in 0..PRIMARIES {
            let primary: String = self.servers[index].command("CLUSTER MYID");
            let replica = &self.servers[index + PRIMARIES];
            // A server that does not know its primary's slots yet returns an error.
            until("a replica follows", || {
                replica.try_command::<()>(&format!("CLUSTER REPLICATE {primary}")).is_ok()
            });
        }
        self.until_all("the cluster is whole", |server| {
            server.info_of_cluster("cluster_state").as_deref() == Some("ok")
                && server
                    .try_command::<String>("CLUSTER NODES")
                    .is_ok_and(|nodes| nodes.matches("slave").count() == PRIMARIES)
        });
        for (index, primary) in self.servers[..PRIMARIES].iter().enumerate() {
            until("a replica is in sync", || primary.is_followed_by(&self.servers[index + PRIMARIES]));
        }
    }

    fn until_all(&self, what: &str, condition: impl Fn(&Server) -> bool) {
        until(what, || self.servers.iter().all(&condition));
    }
}

/// Returns the slot after a primary's last one.
fn end_of(primary: usize) -> usize {
    SLOTS * (primary + 1) / PRIMARIES
}

impl Server {
    fn info_of_cluster(&self, name: &str) -> Option<String> {
        let info: String = self.try_command("CLUSTER INFO").ok()?;
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    }
}

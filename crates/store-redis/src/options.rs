//! Settings of a Redis store.

use super::target::RedisTarget;
use super::tls::TlsMaterial;
use portrait_profile::{PartitionCount, TimeDelta};
use portrait_store::{AckLevel, Limits, StoreId};
use std::time::Duration;
use tokio::sync::watch;

/// Settings of a Redis store.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// Servers of the store.
    pub target: RedisTarget,
    /// Certificates of new connections; a change applies to later ones. Only for TLS.
    pub tls: watch::Receiver<TlsMaterial>,
    /// Id that the store must have; none accepts any store, and creates a missing one.
    pub id: Option<StoreId>,
    /// Prefix of every key. Two deployments on one server need different ones. Default `portrait`.
    pub prefix: String,
    /// Partitions of a new store; none accepts an existing number, or creates 64.
    pub partitions: Option<PartitionCount>,
    /// De-duplication window; fixed at creation. Default 24 h.
    pub dedup_window: TimeDelta,
    /// Acknowledgement level of the deployment: the servers are checked for it, and models are stored at it.
    pub level: AckLevel,
    /// Number of replicas of each server; `Replica` waits for all, since any of them may be promoted. Default 1.
    pub replicas: usize,
    /// Longest wait for the disk or the replicas, after which an append fails. Default 1 s.
    pub replication_timeout: Duration,
    /// Time for which a call that was not done is retried, as during a fail-over. Default 2 s.
    pub retry_timeout: Duration,
    /// Longest wait for a reply, after which the connection counts as lost. Default 2 s.
    pub response_timeout: Duration,
    /// Idle time after which a connection is checked, and interval at which the id of the store is compared. Default 10 s.
    pub ping_interval: Duration,
    /// Longest wait at open for servers and replicas that are starting. Default 10 s.
    pub start_timeout: Duration,
    /// Clock that leases run by.
    pub lease_clock: LeaseClock,
    /// True to accept servers that may evict data or keep less than `level` promises.
    pub accept_unsafe: bool,
    /// Limits of one call.
    pub limits: Limits,
}

/// Clock that leases run by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaseClock {
    /// Clock of the server, so that owners need not agree on the time.
    #[default]
    Server,
    /// Clock of the caller, for tests with a simulated time.
    Caller,
}

impl RedisOptions {
    /// Returns the default settings for `target`; the level is `Replica` for a cluster and `Disk` otherwise.
    pub fn new(target: RedisTarget) -> Self {
        // A cluster fails over by itself, and a write that only the old primary has on its disk is lost then.
        let level = if target.is_cluster() { AckLevel::Replica } else { AckLevel::Disk };
        Self {
            target,
            tls: watch::channel(TlsMaterial::default()).1,
            id: None,
            prefix: "portrait".to_owned(),
            partitions: None,
            dedup_window: TimeDelta::from_hours(24),
            level,
            replicas: 1,
            replication_timeout: Duration::from_secs(1),
            retry_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(2),
            // Below the idle limits of firewalls and load balancers, of which the shortest are a minute.
            ping_interval: Duration::from_secs(10),
            start_timeout: Duration::from_secs(10),
            lease_clock: LeaseClock::Server,
            accept_unsafe: false,
            // A server runs one command at a time: these limits keep one call at about a millisecond.
            limits: Limits {
                append_records: 4096,
                append_bytes: 1 << 20,
                commit_profiles: 256,
                commit_bytes: 256 << 10,
                page_items: 1024,
                dead_letters: 10_000,
                part_bytes: 512 << 20,
            },
        }
    }
}

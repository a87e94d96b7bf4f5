//! Settings that a store is opened with.

use super::target::RedisTarget;
use portrait_profile::{PartitionCount, TimeDelta};
use portrait_store::{AckLevel, Limits};
use std::time::Duration;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// Which servers.
    pub target: RedisTarget,
    /// Who signed their certificates, in PEM; those whom the system trusts if nobody is named. Only for TLS.
    pub certificate_authority: Option<Vec<u8>>,
    /// How every key begins; two deployments on one server have two.
    pub prefix: String,
    /// How many partitions a new store gets; none takes what is there, or 64.
    pub partitions: Option<PartitionCount>,
    /// For how long ids are remembered; fixed at creation.
    pub dedup_window: TimeDelta,
    /// The level that the deployment acknowledges at: the servers are checked for it, and models are kept at it.
    pub level: AckLevel,
    /// How many replicas each server has; `Replica` waits for all, since any of them may take over.
    pub replicas: usize,
    /// How long a disk or the replicas may take before an append counts as not acknowledged.
    pub replication_timeout: Duration,
    /// For how long a call is tried again that was not done, as while a replica takes over.
    pub retry_timeout: Duration,
    /// How long an answer may take before its connection counts as lost.
    pub response_timeout: Duration,
    /// How long to wait at the opening for servers and replicas that are coming up.
    pub start_timeout: Duration,
    /// Whose clock leases run by.
    pub lease_clock: LeaseClock,
    /// Whether to go on with servers that may throw data away or keep less than `level` promises.
    pub accept_unsafe: bool,
    /// What one call may carry.
    pub limits: Limits,
}

/// Whose clock leases run by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaseClock {
    /// The server's, so that no two owners need agree on the time.
    #[default]
    Server,
    /// The caller's, for tests that own the time.
    Caller,
}

impl RedisOptions {
    /// The usual, for those servers.
    pub fn new(target: RedisTarget) -> Self {
        let level = if target.is_cluster() { AckLevel::Replica } else { AckLevel::Disk };
        Self {
            target,
            certificate_authority: None,
            prefix: "portrait".to_owned(),
            partitions: None,
            dedup_window: TimeDelta::from_hours(24),
            level,
            replicas: 1,
            replication_timeout: Duration::from_secs(1),
            retry_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(2),
            start_timeout: Duration::from_secs(10),
            lease_clock: LeaseClock::Server,
            accept_unsafe: false,
            // A server does one thing at a time: what one call carries takes it about a millisecond.
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

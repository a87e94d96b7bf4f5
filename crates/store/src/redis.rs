//! The room that many processes share, on Redis 7 or newer: one server, or a cluster. In come calls from any task; every step
//! that changes a partition is one script on the server that has it, which compares before it writes. Nothing that was sent
//! and not answered is ever sent again; whoever sent it asks what became of it.
//!
//! A server that restarts, or a replica that takes over, may have lost the newest places: the first write after that begins
//! new generations, so that a position that is gone is an error and never another record.

mod attendance;
mod bells;
mod checks;
mod commit;
mod facts;
mod forget;
mod items;
mod keys;
mod layout;
mod link;
mod listener;
mod models;
mod nodes;
mod partition;
mod profiles;
mod reply;
mod rewrite;
mod scan;
mod scripts;
mod seen;
mod store;
mod stretches;
mod target;
#[cfg(feature = "testing")]
pub mod testing;
mod trouble;
mod waiter;

pub use partition::LeaseClock;
pub use target::Target;

use crate::contract::{AckLevel, Layout, Limits};
use crate::error::Result;
use crate::shared_turn::SharedTurn;
use bells::Bells;
use keys::Keys;
use link::Dialer;
use listener::Listener;
use nodes::{How, Nodes, Safety};
use portrait_profile::{PartitionCount, Span};
use seen::Remembered;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which servers.
    pub target: Target,
    /// Who signed their certificates, in PEM; those whom the system trusts if nobody is named. Only for TLS.
    pub certificate_authority: Option<Vec<u8>>,
    /// How every key begins; two deployments on one server have two.
    pub prefix: String,
    /// How many partitions a new store gets; none takes what is there, or 64.
    pub partitions: Option<PartitionCount>,
    /// For how long ids are remembered; fixed at creation.
    pub dedup_window: Span,
    /// The level that the deployment acknowledges at: the servers are checked for it, and models are kept at it.
    pub level: AckLevel,
    /// How many replicas each server has; `Replica` waits for all, since any of them may take over.
    pub replicas: usize,
    /// How long a disk or the replicas may take before an append counts as not acknowledged.
    pub copies_timeout: Duration,
    /// For how long a call is tried again that was not done, as while a replica takes over.
    pub patience: Duration,
    /// How long an answer may take before its connection counts as lost.
    pub response_timeout: Duration,
    /// How long to wait at the opening for servers and replicas that are coming up.
    pub start_patience: Duration,
    /// Whose clock leases run by.
    pub lease_clock: LeaseClock,
    /// Whether to go on with servers that may throw data away or keep less than `level` promises.
    pub accept_unsafe: bool,
    /// What one call may carry.
    pub limits: Limits,
}

impl Options {
    /// The usual, for those servers.
    pub fn new(target: Target) -> Self {
        let level = if target.is_cluster() { AckLevel::Replica } else { AckLevel::Disk };
        Self {
            target,
            certificate_authority: None,
            prefix: "portrait".to_owned(),
            partitions: None,
            dedup_window: Span::from_hours(24),
            level,
            replicas: 1,
            copies_timeout: Duration::from_secs(1),
            patience: Duration::from_secs(2),
            response_timeout: Duration::from_secs(2),
            start_patience: Duration::from_secs(10),
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

/// A store on servers of Redis.
pub struct RedisStore {
    layout: Layout,
    limits: Limits,
    /// At which level models are kept.
    level: AckLevel,
    lease_clock: LeaseClock,
    keys: Keys,
    nodes: Arc<Nodes>,
    bells: Arc<Bells>,
    /// What is known of the ids of each partition; may be dropped at any time, and is then read again.
    remembered: Vec<tokio::sync::Mutex<Remembered>>,
    rewrites: SharedTurn,
    /// Ends the listener with the store.
    _listening: DropGuard,
}

impl RedisStore {
    /// Opens the store on the servers, or creates it there.
    ///
    /// # Errors
    /// `Incompatible` if a server or a setting is not fit, or the store was created otherwise, with what to do; `Unavailable` if
    /// a server does not answer; `Full` if there is no memory for a new store.
    pub async fn open(options: Options) -> Result<Self> {
        let keys = Keys::new(&options.prefix)?;
        let dialer = Arc::new(Dialer {
            target: options.target.clone(),
            certificate_authority: options.certificate_authority.clone(),
            response_timeout: options.response_timeout,
        });
        let safety = Safety {
            replicas: options.replicas,
            timeout: options.copies_timeout,
            accept_unsafe: options.accept_unsafe,
        };
        let nodes = Arc::new(Nodes::new(Arc::clone(&dialer), options.patience, safety));
        checks::check(&nodes, &options).await?;
        let wanted = layout::Wanted {
            partitions: options.partitions,
            dedup_window: options.dedup_window,
            pseudonym_key: None,
        };
        let layout = layout::open(&nodes, &keys, wanted).await?;
        let bells = Arc::new(Bells::new(usize::from(layout.partitions.get())));
        let ended = CancellationToken::new();
        let listener =
            Listener::new(Arc::clone(&nodes), dialer, Arc::clone(&bells), &keys, layout.partitions);
        #[expect(clippy::disallowed_methods, reason = "ends with the drop guard that the store holds")]
        tokio::spawn(listener.run(ended.clone()));
        Ok(Self {
            layout,
            limits: options.limits,
            level: options.level,
            lease_clock: options.lease_clock,
            keys,
            nodes,
            bells,
            remembered: layout.partitions.all().map(|_| Default::default()).collect(),
            rewrites: SharedTurn::default(),
            _listening: ended.drop_guard(),
        })
    }

    /// How what counts at `level` is written.
    fn how(&self, level: AckLevel) -> How {
        match level {
            AckLevel::Memory => How::Write,
            AckLevel::Disk => How::ToDisk,
            AckLevel::Replica => How::ToReplicas,
        }
    }
}

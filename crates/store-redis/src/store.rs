//! Redis store: its parts, and how it is opened.

use super::checks;
use super::cluster::{ClusterClient, DurabilityPolicy, WriteConcern};
use super::dialer::Dialer;
use super::keys::RedisKeys;
use super::known_members::KnownMembers;
use super::layout;
use super::listener::Listener;
use super::notifier::Notifier;
use super::options::{LeaseClock, RedisOptions};
use super::seen_cache::SeenIdCache;
use portrait_store::backend::single_flight::SingleFlight;
use portrait_store::{AckLevel, Layout, Limits, Result};
use std::sync::{Arc, Mutex};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Store on Redis, standalone or cluster.
pub struct RedisStore {
    pub(super) layout: Layout,
    pub(super) limits: Limits,
    /// Level at which models are stored.
    pub(super) level: AckLevel,
    pub(super) lease_clock: LeaseClock,
    pub(super) keys: RedisKeys,
    pub(super) cluster: Arc<ClusterClient>,
    pub(super) notifier: Arc<Notifier>,
    /// Cached ids of each partition; may be dropped at any time, and are then read again.
    pub(super) seen_caches: Vec<tokio::sync::Mutex<SeenIdCache>>,
    pub(super) rewrites: SingleFlight,
    /// Members as last read, which a heartbeat need not send again.
    pub(super) known_members: Mutex<Arc<KnownMembers>>,
    /// Guard that ends the listener when the store is dropped.
    _listening: DropGuard,
}

impl RedisStore {
    /// Opens the store on the servers of the target, or creates it there.
    ///
    /// # Errors
    /// `Incompatible`, with the remedy, if a server or a setting is unsuitable or the store was created with other settings;
    /// `Unavailable` if a server does not answer; `Full` if there is no memory for a new store.
    pub async fn open(options: RedisOptions) -> Result<Self> {
        let keys = RedisKeys::new(&options.prefix)?;
        let dialer = Arc::new(Dialer {
            target: options.target.clone(),
            certificate_authority: options.certificate_authority.clone(),
            response_timeout: options.response_timeout,
        });
        let durability = DurabilityPolicy {
            replicas: options.replicas,
            timeout: options.replication_timeout,
            accept_unsafe: options.accept_unsafe,
        };
        let cluster = Arc::new(ClusterClient::new(Arc::clone(&dialer), options.retry_timeout, durability));
        // Before the layout, so that an unsuitable server is not written to.
        checks::check(&cluster, &options).await?;
        let wanted = layout::LayoutRequest {
            partitions: options.partitions,
            dedup_window: options.dedup_window,
            pseudonym_key: None,
        };
        let layout = layout::open(&cluster, &keys, wanted).await?;
        let notifier = Arc::new(Notifier::new(usize::from(layout.partitions.get())));
        let ended = CancellationToken::new();
        // The listener subscribes nothing until a reader waits, so opening needs no further connection.
        let listener =
            Listener::new(Arc::clone(&cluster), dialer, Arc::clone(&notifier), &keys, layout.partitions);
        #[expect(clippy::disallowed_methods, reason = "ends with the drop guard that the store holds")]
        tokio::spawn(listener.run(ended.clone()));
        Ok(Self {
            layout,
            limits: options.limits,
            level: options.level,
            lease_clock: options.lease_clock,
            keys,
            cluster,
            notifier,
            seen_caches: layout.partitions.all().map(|_| Default::default()).collect(),
            rewrites: SingleFlight::default(),
            known_members: Mutex::default(),
            _listening: ended.drop_guard(),
        })
    }

    /// Returns the write concern of an acknowledgement level.
    pub(super) fn write_concern(&self, level: AckLevel) -> WriteConcern {
        match level {
            AckLevel::Memory => WriteConcern::Acknowledged,
            AckLevel::Disk => WriteConcern::Fsynced,
            AckLevel::Replica => WriteConcern::Replicated,
        }
    }
}

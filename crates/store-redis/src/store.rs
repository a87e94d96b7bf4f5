//! The store: its parts, and its opening.

use super::notifier::Notifier;
use super::checks;
use super::dialer::Dialer;
use super::keys::RedisKeys;
use super::layout;
use super::listener::Listener;
use super::cluster::{WriteConcern, ClusterClient, DurabilityPolicy};
use super::options::{LeaseClock, RedisOptions};
use super::seen_cache::SeenIdCache;
use portrait_store::backend::single_flight::SingleFlight;
use portrait_store::{AckLevel, Layout, Limits, Result};
use std::sync::Arc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A store on servers of Redis.
pub struct RedisStore {
    pub(super) layout: Layout,
    pub(super) limits: Limits,
    /// At which level models are kept.
    pub(super) level: AckLevel,
    pub(super) lease_clock: LeaseClock,
    pub(super) keys: RedisKeys,
    pub(super) cluster: Arc<ClusterClient>,
    pub(super) notifier: Arc<Notifier>,
    /// What is known of the ids of each partition; may be dropped at any time, and is then read again.
    pub(super) seen_caches: Vec<tokio::sync::Mutex<SeenIdCache>>,
    pub(super) rewrites: SingleFlight,
    /// Ends the listener with the store.
    _listening: DropGuard,
}

impl RedisStore {
    /// Opens the store on the servers, or creates it there.
    ///
    /// # Errors
    /// `Incompatible` if a server or a setting is not fit, or the store was created otherwise, with what to do; `Unavailable` if
    /// a server does not answer; `Full` if there is no memory for a new store.
    pub async fn open(options: RedisOptions) -> Result<Self> {
        let keys = RedisKeys::new(&options.prefix)?;
        let dialer = Arc::new(Dialer {
            target: options.target.clone(),
            certificate_authority: options.certificate_authority.clone(),
            response_timeout: options.response_timeout,
        });
        let safety = DurabilityPolicy {
            replicas: options.replicas,
            timeout: options.replication_timeout,
            accept_unsafe: options.accept_unsafe,
        };
        let nodes = Arc::new(ClusterClient::new(Arc::clone(&dialer), options.retry_timeout, safety));
        checks::check(&nodes, &options).await?;
        let wanted = layout::LayoutRequest {
            partitions: options.partitions,
            dedup_window: options.dedup_window,
            pseudonym_key: None,
        };
        let layout = layout::open(&nodes, &keys, wanted).await?;
        let bells = Arc::new(Notifier::new(usize::from(layout.partitions.get())));
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
            cluster: nodes,
            notifier: bells,
            seen_caches: layout.partitions.all().map(|_| Default::default()).collect(),
            rewrites: SingleFlight::default(),
            _listening: ended.drop_guard(),
        })
    }

    /// How what counts at `level` is written.
    pub(super) fn write_concern(&self, level: AckLevel) -> WriteConcern {
        match level {
            AckLevel::Memory => WriteConcern::Acknowledged,
            AckLevel::Disk => WriteConcern::Fsynced,
            AckLevel::Replica => WriteConcern::Replicated,
        }
    }
}

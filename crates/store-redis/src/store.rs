//! Redis store: its parts, and how it is opened.

use super::checks;
use super::cluster::{ClusterClient, DurabilityPolicy};
use super::dialer::Dialer;
use super::failure::RedisFailure;
use super::health::StoreHealth;
use super::identity::{self, StoreIdentity};
use super::keys::RedisKeys;
use super::known_members::KnownMembers;
use super::layout::LayoutRequest;
use super::listener::Listener;
use super::notifier::Notifier;
use super::options::{LeaseClock, RedisOptions};
use super::pacer::Pacer;
use super::rights;
use super::seen_cache::SeenIdCache;
use super::upkeep::Upkeep;
use portrait_store::backend::single_flight::SingleFlight;
use portrait_store::{AckLevel, Error, Layout, Limits, Result};
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
    pub(super) identity: Arc<StoreIdentity>,
    pub(super) health: Arc<StoreHealth>,
    /// Cached ids of each partition; may be dropped at any time, and are then read again.
    pub(super) seen_caches: Vec<tokio::sync::Mutex<SeenIdCache>>,
    pub(super) rewrites: SingleFlight,
    /// Members as last read, which a heartbeat need not send again.
    pub(super) known_members: Mutex<Arc<KnownMembers>>,
    /// Guard that ends the tasks of the store when it is dropped.
    _running: DropGuard,
}

impl RedisStore {
    /// Opens the store on the servers of the target, or creates it there.
    ///
    /// # Errors
    /// `Incompatible`, with the remedy, if a server or a setting is unsuitable, the server refuses a command that the store needs,
    /// the store has another id than the required one, or was created with other settings; `Unavailable` if a server does not
    /// answer; `Full` if there is no memory for a new store.
    pub async fn open(options: RedisOptions) -> Result<Self> {
        let creates = options.id.is_none();
        let opened = Self::open_on(options, creates).await.map_err(as_refused)?;
        // What is created is there, unless another process removed it at once.
        opened.ok_or(Error::Unavailable(None))
    }

    /// Opens the store on the servers of the target; none if there is none, and no id is required.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_existing(options: RedisOptions) -> Result<Option<Self>> {
        Self::open_on(options, false).await.map_err(as_refused)
    }

    async fn open_on(options: RedisOptions, creates: bool) -> Result<Option<Self>> {
        let keys = RedisKeys::new(&options.prefix)?;
        let health = Arc::new(StoreHealth::default());
        let dialer = Arc::new(dialer(&options, &health));
        let durability = DurabilityPolicy {
            replicas: options.replicas,
            timeout: options.replication_timeout,
            accept_unsafe: options.accept_unsafe,
        };
        let cluster = Arc::new(ClusterClient::new(Arc::clone(&dialer), options.retry_timeout, durability));
        // Before the layout, so that an unsuitable server is not written to.
        checks::check(&cluster, &options).await?;
        let request = LayoutRequest {
            partitions: options.partitions,
            dedup_window: options.dedup_window,
            pseudonym_key: None,
            creates,
        };
        let Some(layout) = identity::open_layout(&cluster, &keys, &request, options.id).await? else {
            return Ok(None);
        };
        rights::check(&cluster, &dialer, &keys, options.level).await?;
        let identity =
            StoreIdentity::new(Arc::clone(&cluster), keys.clone(), Arc::clone(&health), layout, options.id);
        let identity = Arc::new(identity);
        let notifier = Arc::new(Notifier::new(usize::from(layout.partitions.get())));
        // The listener subscribes nothing until a reader waits, so opening needs no further connection.
        let listener =
            Listener::new(Arc::clone(&cluster), dialer, Arc::clone(&notifier), &keys, layout.partitions);
        let upkeep = Upkeep {
            cluster: Arc::clone(&cluster),
            identity: Arc::clone(&identity),
            health: Arc::clone(&health),
            interval: options.ping_interval,
        };
        Ok(Some(Self {
            layout,
            limits: options.limits,
            level: options.level,
            lease_clock: options.lease_clock,
            keys,
            cluster,
            notifier,
            identity,
            health,
            seen_caches: layout.partitions.all().map(|_| Default::default()).collect(),
            rewrites: SingleFlight::default(),
            known_members: Mutex::default(),
            _running: run_tasks(listener, upkeep),
        }))
    }

    /// Returns the counters and problems of the store.
    pub fn health(&self) -> Arc<StoreHealth> {
        Arc::clone(&self.health)
    }
}

/// Returns the factory of connections that the options describe.
fn dialer(options: &RedisOptions, health: &Arc<StoreHealth>) -> Dialer {
    Dialer {
        target: options.target.clone(),
        tls: options.tls.clone(),
        response_timeout: options.response_timeout,
        ping_interval: options.ping_interval,
        prefix: options.prefix.clone(),
        health: Arc::clone(health),
        pacer: Pacer::default(),
    }
}

/// Starts the tasks of a store, which end when the guard is dropped.
#[expect(clippy::disallowed_methods, reason = "both end with the drop guard that the store holds")]
fn run_tasks(listener: Listener, upkeep: Upkeep) -> DropGuard {
    let ended = CancellationToken::new();
    tokio::spawn(listener.run(ended.clone()));
    tokio::spawn(upkeep.run(ended.clone()));
    ended.drop_guard()
}

/// Returns a refusal as a wrong setting: at the start no retry helps, and a person reads the message.
fn as_refused(error: Error) -> Error {
    let refused = match &error {
        Error::Unavailable(Some(source)) => source.downcast_ref::<RedisFailure>(),
        _ => None,
    };
    let detail = match refused {
        Some(RedisFailure::Refused { source, .. }) => refused.map(|refused| format!("{refused} ({source})")),
        _ => None,
    };
    detail.map_or(error, |detail| Error::Incompatible { detail })
}

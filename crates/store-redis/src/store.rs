//! The store: its parts, and its opening.

use super::bells::Bells;
use super::checks;
use super::dialer::Dialer;
use super::keys::Keys;
use super::layout;
use super::listener::Listener;
use super::nodes::{How, Nodes, Safety};
use super::options::{LeaseClock, Options};
use super::remembered::Remembered;
use portrait_store::backend::shared_turn::SharedTurn;
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
    pub(super) keys: Keys,
    pub(super) nodes: Arc<Nodes>,
    pub(super) bells: Arc<Bells>,
    /// What is known of the ids of each partition; may be dropped at any time, and is then read again.
    pub(super) remembered: Vec<tokio::sync::Mutex<Remembered>>,
    pub(super) rewrites: SharedTurn,
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
    pub(super) fn how(&self, level: AckLevel) -> How {
        match level {
            AckLevel::Memory => How::Write,
            AckLevel::Disk => How::ToDisk,
            AckLevel::Replica => How::ToReplicas,
        }
    }
}

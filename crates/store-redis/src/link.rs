//! The connection to one server: made when it is needed, shared by all who ask, made anew after it was lost.

use super::dialer::{Dialer, Live};
use super::target::Address;
use super::trouble::Trouble;
use super::waiter::Waiter;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::time::Instant;

/// One server.
pub(super) struct Link {
    /// Where it is.
    pub(super) address: Address,
    dialer: Arc<Dialer>,
    /// The connection that all share; none before the first request and after a loss.
    live: Mutex<Option<Live>>,
    /// Held while a connection is made, so that one is made and not many; when that failed last, and why, so that those who
    /// waited for it do not all try in turn.
    dialing: tokio::sync::Mutex<Option<(Instant, Trouble)>>,
    /// Who waits for replicas.
    pub(super) replicas: OnceLock<Waiter>,
    /// Who waits for the disk.
    pub(super) disk: OnceLock<Waiter>,
}

impl Link {
    /// The server at `address`; it is not asked anything yet.
    pub(super) fn new(address: Address, dialer: Arc<Dialer>) -> Self {
        Self {
            address,
            dialer,
            live: Mutex::new(None),
            dialing: tokio::sync::Mutex::new(None),
            replicas: OnceLock::new(),
            disk: OnceLock::new(),
        }
    }

    /// The connection, made if there is none.
    pub(super) async fn live(&self) -> Result<Live, Trouble> {
        if let Some(live) = self.known() {
            return Ok(live);
        }
        let began = Instant::now();
        let mut failed = self.dialing.lock().await;
        if let Some(live) = self.known() {
            return Ok(live);
        }
        if let Some((at, trouble)) = &*failed
            && *at >= began
        {
            return Err(trouble.clone());
        }
        let dialed = self.dialer.dial(&self.address).await;
        *failed = dialed.as_ref().err().map(|trouble| (Instant::now(), trouble.clone()));
        let live = dialed?;
        tracing::info!(server = %self.address, life = %live.life(), release = live.facts.version, "connected to redis");
        *self.slot() = Some(live.clone());
        Ok(live)
    }

    /// Forgets the connection, so that the next request makes another one.
    pub(super) fn forget(&self, lost: &Live) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|live| live.is(lost)) {
            *slot = None;
        }
    }

    /// The connection, if there is one.
    pub(super) fn known(&self) -> Option<Live> {
        self.slot().as_ref().filter(|live| !live.is_gone()).cloned()
    }

    /// Who makes connections to this server.
    pub(super) fn dialer(&self) -> &Arc<Dialer> {
        &self.dialer
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

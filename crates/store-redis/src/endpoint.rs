//! The connection to one server: made when it is needed, shared by all who ask, made anew after it was lost.

use super::dialer::{Dialer, RedisConnection};
use super::target::Address;
use super::failure::RedisFailure;
use super::replication_wait::ReplicationWait;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::time::Instant;

/// One server.
pub(super) struct Endpoint {
    /// Where it is.
    pub(super) address: Address,
    dialer: Arc<Dialer>,
    /// The connection that all share; none before the first request and after a loss.
    connection: Mutex<Option<RedisConnection>>,
    /// Held while a connection is made, so that one is made and not many; when that failed last, and why, so that those who
    /// waited for it do not all try in turn.
    connecting: tokio::sync::Mutex<Option<(Instant, RedisFailure)>>,
    /// Who waits for replicas.
    pub(super) replica_wait: OnceLock<ReplicationWait>,
    /// Who waits for the disk.
    pub(super) disk_wait: OnceLock<ReplicationWait>,
}

impl Endpoint {
    /// The server at `address`; it is not asked anything yet.
    pub(super) fn new(address: Address, dialer: Arc<Dialer>) -> Self {
        Self {
            address,
            dialer,
            connection: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(None),
            replica_wait: OnceLock::new(),
            disk_wait: OnceLock::new(),
        }
    }

    /// The connection, made if there is none.
    pub(super) async fn connection(&self) -> Result<RedisConnection, RedisFailure> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let began = Instant::now();
        let mut failed = self.connecting.lock().await;
        if let Some(live) = self.current() {
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
        tracing::info!(server = %self.address, life = %live.incarnation(), release = live.info.version, "connected to redis");
        *self.slot() = Some(live.clone());
        Ok(live)
    }

    /// Forgets the connection, so that the next request makes another one.
    pub(super) fn forget(&self, lost: &RedisConnection) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|live| live.is_incarnation(lost)) {
            *slot = None;
        }
    }

    /// The connection, if there is one.
    pub(super) fn current(&self) -> Option<RedisConnection> {
        self.slot().as_ref().filter(|live| !live.is_gone()).cloned()
    }

    /// Who makes connections to this server.
    pub(super) fn dialer(&self) -> &Arc<Dialer> {
        &self.dialer
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<RedisConnection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

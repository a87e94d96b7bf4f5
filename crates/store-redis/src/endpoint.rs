//! Shared connection to one server: established on demand, shared by all requests, and established again after a loss.

use super::dialer::{Dialer, RedisConnection};
use super::failure::RedisFailure;
use super::pacer::ConnectionUse;
use super::replication_wait::ReplicationWait;
use super::target::Address;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::time::Instant;

/// Server and the connections to it.
pub(super) struct Endpoint {
    /// Host and port of the server.
    pub(super) address: Address,
    dialer: Arc<Dialer>,
    /// Shared connection; none before the first request and after a loss.
    connection: Mutex<Option<RedisConnection>>,
    /// Locked while a connection is established, so that callers share one attempt. Holds time and cause of the last failed attempt,
    /// so that callers that waited for it do not try again in turn.
    connecting: tokio::sync::Mutex<Option<(Instant, RedisFailure)>>,
    /// Connection that waits for replicas.
    pub(super) replica_wait: OnceLock<ReplicationWait>,
    /// Connection that waits for the disk.
    pub(super) disk_wait: OnceLock<ReplicationWait>,
}

impl Endpoint {
    /// Returns the server at `address`, not connected yet.
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

    /// Returns the shared connection, and establishes it if there is none.
    pub(super) async fn connection(&self) -> Result<RedisConnection, RedisFailure> {
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        // The time of the call, to tell a failure of this wait from an older one that a new attempt may overcome.
        let began = Instant::now();
        let mut failed = self.connecting.lock().await;
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        if let Some((at, failure)) = &*failed
            && *at >= began
        {
            return Err(failure.clone());
        }
        let dialed = self.dialer.dial(&self.address, ConnectionUse::Requests).await;
        *failed = dialed.as_ref().err().map(|failure| (Instant::now(), failure.clone()));
        let connection = dialed?;
        tracing::info!(server = %self.address, incarnation = %connection.incarnation(), release = connection.info.version, "connected to redis");
        *self.slot() = Some(connection.clone());
        Ok(connection)
    }

    /// Drops the lost connection, so that the next request establishes another one.
    pub(super) fn forget(&self, lost: &RedisConnection) {
        let mut slot = self.slot();
        // Another request may have replaced it already; the new connection stays.
        if slot.as_ref().is_some_and(|connection| connection.is_same(lost)) {
            *slot = None;
        }
    }

    /// Returns the shared connection, if there is one.
    pub(super) fn current(&self) -> Option<RedisConnection> {
        self.slot().as_ref().filter(|connection| !connection.is_gone()).cloned()
    }

    /// Returns the factory of connections.
    pub(super) fn dialer(&self) -> &Arc<Dialer> {
        &self.dialer
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<RedisConnection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

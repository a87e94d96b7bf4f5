//! Client of a standalone server or a cluster: the map of slots, and requests by slot. Redirects, servers that are still loading and
//! missing scripts are handled here, because nothing was done then. A write whose reply was lost is never sent again.
//!
//! The slots are mapped here and not by the client library, because two features depend on the server: a write that waits for
//! replicas (on a connection of its own to the server that wrote), and the incarnation of the server that a script receives.

use super::command_class::CommandClass;
use super::dialer::{Dialer, RedisConnection, Request};
use super::endpoint::Endpoint;
use super::failure::{Recovery, RedisFailure};
use super::health::ProblemKind;
use super::keys::{SLOTS, Slot};
use super::replication_wait::{Durability, ReplicationWait};
use super::reply;
use super::server_info::FsyncPolicy;
use super::slots::{ReportedRange, SlotMap, SlotRange};
use super::target::Address;
use portrait_store::{AckLevel, Result};
use redis::Value;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

/// Pause before the second attempt; it doubles with each further one.
const PAUSE_FIRST: Duration = Duration::from_millis(2);
/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Age from which a connection to a replica is replaced to read its role again. Every caller asks for it during a fail-over.
const ROLE_READ_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Condition under which a request counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteConcern {
    /// Reply received; the request changes nothing and may be repeated.
    Read,
    /// Reply received; the request writes and is never repeated. It promises nothing to a caller of a service.
    Acknowledged,
    /// Reply received from a server that keeps what the level `memory` promises.
    InMemory,
    /// Write on the server's disk.
    Fsynced,
    /// Write on all replicas.
    Replicated,
}

impl WriteConcern {
    /// Returns the write concern of an acknowledgement level.
    pub(super) fn of(level: AckLevel) -> Self {
        match level {
            AckLevel::Memory => Self::InMemory,
            AckLevel::Disk => Self::Fsynced,
            AckLevel::Replica => Self::Replicated,
        }
    }

    /// Returns the level that a request promises; none if it promises nothing.
    fn level(self) -> Option<AckLevel> {
        match self {
            Self::Read | Self::Acknowledged => None,
            Self::InMemory => Some(AckLevel::Memory),
            Self::Fsynced => Some(AckLevel::Disk),
            Self::Replicated => Some(AckLevel::Replica),
        }
    }
}

/// Confirmations that a level of durability requires.
#[derive(Clone, Copy, Debug)]
pub(super) struct DurabilityPolicy {
    /// Number of replicas that must confirm a replicated write.
    pub(super) replicas: usize,
    /// Longest wait for the disk or the replicas.
    pub(super) timeout: Duration,
    /// True if a server that cannot report its fsync counts as durable.
    pub(super) accept_unsafe: bool,
}

/// Client of all servers of a target.
pub(super) struct ClusterClient {
    dialer: Arc<Dialer>,
    /// Time for which a request that was not done is retried.
    retry_for: Duration,
    /// Confirmations that writes wait for.
    durability: DurabilityPolicy,
    /// Last known map of the slots.
    map: RwLock<Arc<SlotMap>>,
    /// Locked during a refresh, so that callers share one. Holds time and cause of the last failed refresh.
    refreshing: tokio::sync::Mutex<Option<(Instant, RedisFailure)>>,
}

impl ClusterClient {
    /// Returns a client of the dialer's target, not connected yet.
    pub(super) fn new(dialer: Arc<Dialer>, retry_for: Duration, durability: DurabilityPolicy) -> Self {
        let target = &dialer.target;
        let standalone = target.servers.first().filter(|_| !target.cluster);
        let map = standalone
            .map(|server| SlotMap::of_one(Arc::new(Endpoint::new(server.clone(), Arc::clone(&dialer)))));
        let map = RwLock::new(Arc::new(map.unwrap_or_default()));
        Self { dialer, retry_for, durability, map, refreshing: tokio::sync::Mutex::new(None) }
    }

    /// Sends a request to the server that owns `slot`, and retries while nothing was done.
    ///
    /// # Errors
    /// `Full` if the server has no memory left, `Incompatible` if its settings do not keep what the write promises; otherwise
    /// `Unavailable`, after which a write may have been done.
    pub(super) async fn request(
        &self,
        slot: Slot,
        request: &Request,
        concern: WriteConcern,
    ) -> Result<Value> {
        // Before anything is sent: a write would begin a new store in place of the lost one.
        if self.dialer.health.is_lost()
            && let Some(problem) = self.dialer.health.text_of(ProblemKind::Lost)
        {
            return Err(RedisFailure::Lost { problem }.into_error());
        }
        self.request_of_any_store(slot, request, concern).await
    }

    /// Sends a request as [`Self::request`] does, also while the store is lost.
    pub(super) async fn request_of_any_store(
        &self,
        slot: Slot,
        request: &Request,
        concern: WriteConcern,
    ) -> Result<Value> {
        let deadline = Instant::now() + self.retry_for;
        let mut pause = PAUSE_FIRST;
        let mut reads_lost = 0;
        loop {
            let map = self.map();
            let failure = match self.try_request(&map, slot, request, concern).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => self.dialer.explained(failure, request.class()),
            };
            match failure.recovery() {
                Recovery::RefreshSlots
                | Recovery::RetryLater
                | Recovery::FollowAsk
                | Recovery::LoadScripts => {}
                // A read may be repeated; twice is enough to get past one lost connection and one old map.
                Recovery::OutcomeUnknown if concern == WriteConcern::Read && reads_lost < 2 => {
                    reads_lost += 1;
                }
                Recovery::OutcomeUnknown => {
                    // Refreshed for the next request; this one must not be repeated.
                    let _ = self.refresh_once(map.version).await;
                    return Err(failure.into_error());
                }
                Recovery::ReportFull | Recovery::GiveUp | Recovery::ReportUnacked => {
                    return Err(failure.into_error());
                }
            }
            if Instant::now() + pause > deadline {
                return Err(failure.into_error());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            if matches!(failure.recovery(), Recovery::RefreshSlots | Recovery::OutcomeUnknown) {
                // A failed refresh is not an error yet: the next attempt decides.
                let _ = self.refresh_once(map.version).await;
            }
        }
    }

    /// Returns the address of the server that owns `slot` by the last known map.
    pub(super) fn address(&self, slot: Slot) -> Option<Address> {
        self.map().endpoint(slot).map(|endpoint| endpoint.address.clone())
    }

    /// Returns whether `incarnation` is that of the server that owns `slot`, as last observed.
    pub(super) fn is_current(&self, slot: Slot, incarnation: &str) -> bool {
        let connection = self.map().endpoint(slot).and_then(|endpoint| endpoint.current());
        // Without a connection any known incarnation passes: the next write compares it on the server.
        connection.map_or(!incarnation.is_empty(), |connection| *connection.incarnation() == *incarnation)
    }

    /// Refreshes the map and returns every server that owns a slot.
    pub(super) async fn primaries(&self) -> Result<Vec<Arc<Endpoint>>, RedisFailure> {
        self.refresh().await?;
        Ok(self.map().endpoints())
    }

    /// Refreshes the map of the slots.
    pub(super) async fn refresh(&self) -> Result<(), RedisFailure> {
        self.refresh_once(self.map().version).await
    }

    /// Returns the first slot without a server in the last known map.
    pub(super) fn unassigned_slot(&self) -> Option<Slot> {
        let map = self.map();
        (0..SLOTS).map(Slot).find(|slot| map.endpoint(*slot).is_none())
    }

    async fn try_request(
        &self,
        map: &SlotMap,
        slot: Slot,
        request: &Request,
        concern: WriteConcern,
    ) -> Result<Value, RedisFailure> {
        let endpoint = map.endpoint(slot).ok_or(RedisFailure::SlotUnassigned { slot: slot.0 })?;
        let connection = endpoint.connection().await?;
        if !connection.info.primary {
            // A demoted server would answer reads with old data; a new connection reads its role again.
            if connection.dialed_at.elapsed() > ROLE_READ_AGAIN_AFTER {
                endpoint.forget(&connection);
            }
            return Err(RedisFailure::NotPrimary);
        }
        self.check_promise(&connection, concern)?;
        let durability = match concern {
            WriteConcern::Read | WriteConcern::Acknowledged | WriteConcern::InMemory => None,
            WriteConcern::Replicated => Some(self.durability.replicas.max(1)),
            WriteConcern::Fsynced => match connection.info.fsync_policy() {
                FsyncPolicy::OnWaitAof => Some(0),
                // The last two are accepted as unsafe, or the check above has refused them.
                FsyncPolicy::Always | FsyncPolicy::Eventually | FsyncPolicy::Unknown => None,
            },
        };
        let result = match durability {
            None => connection.request(request).await,
            Some(replicas) => {
                // `WAIT` and `WAITAOF` block their connection, so such writes go over connections of their own.
                let durability = Durability { replicas, timeout: self.durability.timeout };
                let wait = if replicas == 0 { &endpoint.disk_wait } else { &endpoint.replica_wait };
                let wait = wait.get_or_init(|| {
                    ReplicationWait::start(
                        Arc::clone(endpoint.dialer()),
                        endpoint.address.clone(),
                        durability,
                    )
                });
                wait.request(request.clone()).await
            }
        };
        let Err(failure) = result else { return result };
        match failure.recovery() {
            Recovery::FollowAsk => self.request_asking(&failure, request, concern).await,
            Recovery::LoadScripts => {
                for script in super::scripts::all() {
                    connection.request(&Request::Command(script.load())).await?;
                }
                Err(failure)
            }
            Recovery::RefreshSlots | Recovery::OutcomeUnknown => {
                // A server that lost its slots may own them again in another incarnation: a new connection reads it.
                endpoint.forget(&connection);
                Err(failure)
            }
            Recovery::RetryLater | Recovery::ReportFull | Recovery::GiveUp | Recovery::ReportUnacked => {
                Err(failure)
            }
        }
    }

    /// Refuses a write whose promise the settings of the server do not keep.
    fn check_promise(&self, connection: &RedisConnection, concern: WriteConcern) -> Result<(), RedisFailure> {
        let Some(problem) = concern.level().and_then(|level| connection.unmet.of(level)) else {
            return Ok(());
        };
        if self.durability.accept_unsafe {
            return Ok(());
        }
        self.dialer.health.report(ProblemKind::Promise, problem, false);
        Err(RedisFailure::PromiseUnmet { problem: problem.to_owned() })
    }

    /// Checks the open connections, and drops those whose server does not answer: a flow that the network forgot looks like one
    /// without traffic until something is sent.
    pub(super) async fn ping(&self) {
        let pings = self.map().endpoints().into_iter().map(|endpoint| async move {
            if let Some(connection) = endpoint.current()
                && !connection.answers().await
            {
                tracing::warn!(server = %endpoint.address, "redis does not answer on an open connection");
                endpoint.forget(&connection);
            }
        });
        futures::future::join_all(pings).await;
    }

    /// Sends a request to the server that a slot is moving to.
    async fn request_asking(
        &self,
        failure: &RedisFailure,
        request: &Request,
        concern: WriteConcern,
    ) -> Result<Value, RedisFailure> {
        if matches!(concern, WriteConcern::Fsynced | WriteConcern::Replicated) {
            // The waiting connection belongs to another server. Nothing was done, so the caller retries until the move has ended.
            return Err(failure.clone());
        }
        let RedisFailure::Server(error) = failure else { return Err(failure.clone()) };
        let Some((host, port)) = error.redirect_node() else { return Err(failure.clone()) };
        let announced = Address { host: host.to_owned(), port };
        let known = self.map().redirected(&announced);
        let endpoint = known.unwrap_or_else(|| Arc::new(Endpoint::new(announced, Arc::clone(&self.dialer))));
        endpoint.connection().await?.request_asking(request).await
    }

    fn map(&self) -> Arc<SlotMap> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Refreshes the map, unless it is newer than version `known`.
    async fn refresh_once(&self, known: usize) -> Result<(), RedisFailure> {
        if !self.dialer.target.cluster {
            return Ok(());
        }
        let began = Instant::now();
        let mut failed = self.refreshing.lock().await;
        let map = self.map();
        // Another caller refreshed the map while this one waited for the lock.
        if map.version > known {
            return Ok(());
        }
        if let Some((at, failure)) = &*failed
            && *at >= began
        {
            return Err(failure.clone());
        }
        let refreshed = self.refresh_from_any(&map).await;
        *failed = refreshed.as_ref().err().map(|failure| (Instant::now(), failure.clone()));
        refreshed
    }

    /// Reads the map from one server after the other until one succeeds.
    async fn refresh_from_any(&self, map: &SlotMap) -> Result<(), RedisFailure> {
        let mut failure = RedisFailure::SlotUnassigned { slot: 0 };
        let mut endpoints = map.endpoints();
        // Connected servers first, since the others may be down. The order rotates, since a server that is cut off from the
        // cluster would return its old map each time.
        let count = endpoints.len().max(1);
        endpoints.rotate_left(map.version % count);
        endpoints.sort_by_key(|endpoint| endpoint.current().is_none());
        let seeds = &self.dialer.target.servers;
        let unknown = seeds.iter().filter(|seed| endpoints.iter().all(|endpoint| endpoint.address != **seed));
        let seeds: Vec<Arc<Endpoint>> =
            unknown.map(|seed| Arc::new(Endpoint::new(seed.clone(), Arc::clone(&self.dialer)))).collect();
        for endpoint in endpoints.iter().chain(&seeds) {
            match self.slots_of(endpoint, map).await {
                Ok(ranges) => {
                    let next = SlotMap { version: map.version + 1, ranges };
                    *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
                    return Ok(());
                }
                Err(failed) => failure = failed,
            }
        }
        Err(failure)
    }

    /// Reads the map from one server; known servers keep their connections.
    async fn slots_of(&self, source: &Endpoint, map: &SlotMap) -> Result<Vec<SlotRange>, RedisFailure> {
        let connection = source.connection().await?;
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let reply = connection.request(&Request::Command(command)).await;
        // A refusal leaves the connection as it is: another one would be refused too.
        if reply.as_ref().is_err_and(|failure| failure.recovery() != Recovery::GiveUp) {
            source.forget(&connection);
        }
        let reply = reply.map_err(|failure| self.dialer.explained(failure, CommandClass::Cluster))?;
        let tls = self.dialer.target.tls;
        let mut endpoints = map.endpoints();
        let mut ranges = Vec::new();
        for range in reply::list(reply, "CLUSTER SLOTS").map_err(|_| RedisFailure::not_redis())? {
            let Some(reported) = ReportedRange::read(range, &source.address, tls) else { continue };
            let ReportedRange { first, last, announced, address } = reported;
            let known = endpoints.iter().find(|endpoint| endpoint.address == address).cloned();
            let endpoint = known.unwrap_or_else(|| {
                let endpoint = Arc::new(Endpoint::new(address, Arc::clone(&self.dialer)));
                endpoints.push(Arc::clone(&endpoint));
                endpoint
            });
            ranges.push(SlotRange { first, last, announced, endpoint });
        }
        if ranges.is_empty() {
            return Err(RedisFailure::SlotUnassigned { slot: 0 });
        }
        ranges.sort_by_key(|range| range.first);
        Ok(ranges)
    }
}

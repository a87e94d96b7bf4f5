//! Which server has which slot, and asking it. In come requests for a slot; out go replies. What a server says of a slot that
//! moved, a disk it still reads or scripts it forgot is dealt with here, for it means that nothing was done; a write whose
//! answer was lost is never sent again.
//!
//! The slots are looked up here and not in the client library, because two things need to know the server: a write that waits
//! for copies (on a connection of its own to the very server that wrote), and the life of the server that a script is told.

use super::dialer::{Dialer, Request};
use super::server_info::FsyncPolicy;
use super::keys::{SLOTS, Slot};
use super::endpoint::Endpoint;
use super::reply;
use super::target::Address;
use super::failure::{Recovery, RedisFailure};
use super::replication_wait::{Durability, ReplicationWait};
use portrait_store::Result;
use redis::Value;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

/// Pauses between two attempts.
const PAUSE_FIRST: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// How a request is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteConcern {
    /// It changes nothing, and may be asked again.
    Read,
    /// It is done when the server answers.
    Acknowledged,
    /// It is done when it is on the server's disk.
    Fsynced,
    /// It is done when the replicas have it.
    Replicated,
}

/// What a write waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct DurabilityPolicy {
    /// How many replicas have to have what is written to replicas.
    pub(super) replicas: usize,
    /// How long disk or replicas may take.
    pub(super) timeout: Duration,
    /// Whether a server whose disk nobody can ask is taken at its word.
    pub(super) accept_unsafe: bool,
}

/// The servers.
pub(super) struct ClusterClient {
    dialer: Arc<Dialer>,
    /// For how long a request that was not done is tried again.
    retry_for: Duration,
    /// What writes wait for.
    durability: DurabilityPolicy,
    /// What is known of the slots.
    map: RwLock<Arc<SlotMap>>,
    /// Held while the slots are looked up, so that it is done once and not by everybody; when that failed last, and why.
    refreshing: tokio::sync::Mutex<Option<(Instant, RedisFailure)>>,
}

/// Who has which slots.
#[derive(Default)]
struct SlotMap {
    /// How often it was looked up.
    version: usize,
    /// First and last slot of each stretch, in order, and who has it.
    ranges: Vec<(u16, u16, Arc<Endpoint>)>,
}

impl SlotMap {
    fn endpoint(&self, slot: Slot) -> Option<&Arc<Endpoint>> {
        let index = self.ranges.partition_point(|(_, last, _)| *last < slot.0);
        self.ranges.get(index).filter(|(first, _, _)| *first <= slot.0).map(|(_, _, link)| link)
    }

    /// Each server once.
    fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        let mut links: Vec<Arc<Endpoint>> = Vec::new();
        for (_, _, link) in &self.ranges {
            if !links.iter().any(|known| known.address == link.address) {
                links.push(Arc::clone(link));
            }
        }
        links
    }
}

impl ClusterClient {
    /// The servers of the dialer's target; none is asked anything yet.
    pub(super) fn new(dialer: Arc<Dialer>, patience: Duration, safety: DurabilityPolicy) -> Self {
        let target = &dialer.target;
        let alone = target.servers.first().filter(|_| !target.cluster);
        let stretches = alone
            .map(|server| (0, u16::MAX, Arc::new(Endpoint::new(server.clone(), Arc::clone(&dialer)))))
            .into_iter()
            .collect();
        let map = RwLock::new(Arc::new(SlotMap { version: 0, ranges: stretches }));
        Self { dialer, retry_for: patience, durability: safety, map, refreshing: tokio::sync::Mutex::new(None) }
    }

    /// Asks the server that has `slot`.
    ///
    /// # Errors
    /// `Full` if the server has no memory left, `Unavailable` otherwise; what was asked may be done then.
    pub(super) async fn request(&self, slot: Slot, request: &Request, how: WriteConcern) -> Result<Value> {
        let deadline = Instant::now() + self.retry_for;
        let mut pause = PAUSE_FIRST;
        let mut reads_lost = 0;
        loop {
            let map = self.map();
            let trouble = match self.try_request(&map, slot, request, how).await {
                Ok(reply) => return Ok(reply),
                Err(trouble) => trouble,
            };
            match trouble.recovery() {
                Recovery::RefreshSlots | Recovery::RetryLater | Recovery::FollowAsk | Recovery::LoadScripts => {}
                Recovery::OutcomeUnknown if how == WriteConcern::Read && reads_lost < 2 => reads_lost += 1,
                Recovery::OutcomeUnknown => {
                    // Whoever asks next should find the server that answers.
                    let _ = self.refresh_once(map.version).await;
                    return Err(trouble.into_error());
                }
                Recovery::ReportFull | Recovery::GiveUp | Recovery::ReportUnacked => return Err(trouble.into_error()),
            }
            if Instant::now() + pause > deadline {
                return Err(trouble.into_error());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            if matches!(trouble.recovery(), Recovery::RefreshSlots | Recovery::OutcomeUnknown) {
                // Nobody knowing better is not an error yet: the next attempt will tell.
                let _ = self.refresh_once(map.version).await;
            }
        }
    }

    /// The address of the server that has `slot`, as far as is known.
    pub(super) fn address(&self, slot: Slot) -> Option<Address> {
        self.map().endpoint(slot).map(|link| link.address.clone())
    }

    /// Whether `home` is the life that the server with `slot` lives, as far as is known.
    pub(super) fn is_owned(&self, slot: Slot, home: &str) -> bool {
        let live = self.map().endpoint(slot).and_then(|link| link.current());
        live.map_or(!home.is_empty(), |live| *live.incarnation() == *home)
    }

    /// Every server that has a slot; looks the slots up first.
    pub(super) async fn primaries(&self) -> Result<Vec<Arc<Endpoint>>, RedisFailure> {
        self.refresh().await?;
        Ok(self.map().endpoints())
    }

    /// Looks the slots up.
    pub(super) async fn refresh(&self) -> Result<(), RedisFailure> {
        self.refresh_once(self.map().version).await
    }

    /// The first slot that has no server, as far as is known.
    pub(super) fn unassigned_slot(&self) -> Option<Slot> {
        let map = self.map();
        (0..SLOTS).map(Slot).find(|slot| map.endpoint(*slot).is_none())
    }

    async fn try_request(&self, map: &SlotMap, slot: Slot, request: &Request, how: WriteConcern) -> Result<Value, RedisFailure> {
        let link = map.endpoint(slot).ok_or(RedisFailure::SlotUnassigned { slot: slot.0 })?;
        let live = link.connection().await?;
        if !live.info.primary {
            link.forget(&live);
            return Err(RedisFailure::NotPrimary);
        }
        let copies = match how {
            WriteConcern::Read | WriteConcern::Acknowledged => None,
            WriteConcern::Replicated => Some(self.durability.replicas.max(1)),
            WriteConcern::Fsynced => match live.info.fsync_policy() {
                FsyncPolicy::Always => None,
                FsyncPolicy::OnWaitAof => Some(0),
                FsyncPolicy::Eventually | FsyncPolicy::Unknown if self.durability.accept_unsafe => None,
                FsyncPolicy::Eventually | FsyncPolicy::Unknown => return Err(RedisFailure::NotPersistent),
            },
        };
        let asked = match copies {
            None => live.request(request).await,
            Some(replicas) => {
                let copies = Durability { replicas, timeout: self.durability.timeout };
                let waiter = if replicas == 0 { &link.disk_wait } else { &link.replica_wait };
                let start = || ReplicationWait::start(Arc::clone(link.dialer()), link.address.clone(), copies);
                waiter.get_or_init(start).request(request.clone()).await
            }
        };
        let Err(trouble) = asked else { return asked };
        match trouble.recovery() {
            Recovery::FollowAsk => self.request_asking(&trouble, request, how).await,
            Recovery::LoadScripts => {
                for script in super::scripts::all() {
                    live.request(&Request::Command(script.load())).await?;
                }
                Err(trouble)
            }
            Recovery::RefreshSlots | Recovery::OutcomeUnknown => {
                // A server that lost its slots may get them back in another life: the next connection asks for it.
                link.forget(&live);
                Err(trouble)
            }
            Recovery::RetryLater | Recovery::ReportFull | Recovery::GiveUp | Recovery::ReportUnacked => Err(trouble),
        }
    }

    /// Asks the server that a slot is moving to.
    async fn request_asking(&self, trouble: &RedisFailure, request: &Request, how: WriteConcern) -> Result<Value, RedisFailure> {
        if matches!(how, WriteConcern::Fsynced | WriteConcern::Replicated) {
            // That connection waits for copies of another server's; the move ends soon.
            return Err(trouble.clone());
        }
        let RedisFailure::Server(said) = trouble else { return Err(trouble.clone()) };
        let Some((host, port)) = said.redirect_node() else { return Err(trouble.clone()) };
        let other = Endpoint::new(Address { host: host.to_owned(), port }, Arc::clone(&self.dialer));
        let known = self.map().endpoints().into_iter().find(|link| link.address == other.address);
        let link = known.unwrap_or_else(|| Arc::new(other));
        link.connection().await?.request_asking(request).await
    }

    fn map(&self) -> Arc<SlotMap> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks the slots up, unless somebody did since the map of that number.
    async fn refresh_once(&self, known: usize) -> Result<(), RedisFailure> {
        if !self.dialer.target.cluster {
            return Ok(());
        }
        let began = Instant::now();
        let mut failed = self.refreshing.lock().await;
        let map = self.map();
        if map.version > known {
            return Ok(());
        }
        if let Some((at, trouble)) = &*failed
            && *at >= began
        {
            return Err(trouble.clone());
        }
        let looked = self.refresh_from_any(&map).await;
        *failed = looked.as_ref().err().map(|trouble| (Instant::now(), trouble.clone()));
        looked
    }

    /// Asks one server after the other until one knows who has the slots.
    async fn refresh_from_any(&self, map: &SlotMap) -> Result<(), RedisFailure> {
        let mut trouble = RedisFailure::SlotUnassigned { slot: 0 };
        let mut links = map.endpoints();
        // Those that are connected first: one of the others may just have died. Another one each time: one may be cut off
        // and know only what was.
        let count = links.len().max(1);
        links.rotate_left(map.version % count);
        links.sort_by_key(|link| link.current().is_none());
        let seeds = &self.dialer.target.servers;
        let unknown = seeds.iter().filter(|seed| links.iter().all(|link| link.address != **seed));
        let seeds: Vec<Arc<Endpoint>> =
            unknown.map(|seed| Arc::new(Endpoint::new(seed.clone(), Arc::clone(&self.dialer)))).collect();
        for link in links.iter().chain(&seeds) {
            match self.slots_of(link, map).await {
                Ok(stretches) => {
                    let next = SlotMap { version: map.version + 1, ranges: stretches };
                    *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
                    return Ok(());
                }
                Err(failed) => trouble = failed,
            }
        }
        Err(trouble)
    }

    /// The map that one server knows; servers that are known already keep their connections.
    async fn slots_of(&self, asked: &Endpoint, map: &SlotMap) -> Result<Vec<(u16, u16, Arc<Endpoint>)>, RedisFailure> {
        let live = asked.connection().await?;
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let reply = live.request(&Request::Command(command)).await;
        if reply.is_err() {
            asked.forget(&live);
        }
        let mut links = map.endpoints();
        let mut stretches = Vec::new();
        for stretch in reply::list(reply?, "CLUSTER SLOTS").map_err(|_| RedisFailure::not_redis())? {
            let Some((first, last, address)) = read_slot_range(stretch, &asked.address) else { continue };
            let known = links.iter().find(|link| link.address == address).cloned();
            let link = known.unwrap_or_else(|| {
                let link = Arc::new(Endpoint::new(address, Arc::clone(&self.dialer)));
                links.push(Arc::clone(&link));
                link
            });
            stretches.push((first, last, link));
        }
        if stretches.is_empty() {
            return Err(RedisFailure::SlotUnassigned { slot: 0 });
        }
        stretches.sort_by_key(|(first, _, _)| *first);
        Ok(stretches)
    }
}

/// First and last slot and the primary of one stretch. A server that does not know its own name answers with none: it is where
/// it was asked.
fn read_slot_range(stretch: Value, asked: &Address) -> Option<(u16, u16, Address)> {
    let mut values = reply::list(stretch, "CLUSTER SLOTS").ok()?.into_iter();
    let first = reply::number(&values.next()?, "CLUSTER SLOTS").ok()?;
    let last = reply::number(&values.next()?, "CLUSTER SLOTS").ok()?;
    let mut primary = reply::list(values.next()?, "CLUSTER SLOTS").ok()?.into_iter();
    let host = primary.next().and_then(|host| reply::text(&host).map(str::to_owned));
    let host = host.filter(|host| !host.is_empty() && host != "?").unwrap_or_else(|| asked.host.clone());
    let port = reply::number(&primary.next()?, "CLUSTER SLOTS").ok()?;
    Some((first, last, Address { host, port }))
}

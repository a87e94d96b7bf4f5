//! Which server has which slot, and asking it. In come requests for a slot; out go replies. What a server says of a slot that
//! moved, a disk it still reads or scripts it forgot is dealt with here, for it means that nothing was done; a write whose
//! answer was lost is never sent again.
//!
//! The slots are looked up here and not in the client library, because two things need to know the server: a write that waits
//! for copies (on a connection of its own to the very server that wrote), and the life of the server that a script is told.

use super::dialer::{Dialer, Request};
use super::facts::ToDisk;
use super::keys::{SLOTS, Slot};
use super::link::Link;
use super::reply;
use super::target::Address;
use super::trouble::{Remedy, Trouble};
use super::waiter::{Copies, Waiter};
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
pub(super) enum How {
    /// It changes nothing, and may be asked again.
    Read,
    /// It is done when the server answers.
    Write,
    /// It is done when it is on the server's disk.
    ToDisk,
    /// It is done when the replicas have it.
    ToReplicas,
}

/// What a write waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Safety {
    /// How many replicas have to have what is written to replicas.
    pub(super) replicas: usize,
    /// How long disk or replicas may take.
    pub(super) timeout: Duration,
    /// Whether a server whose disk nobody can ask is taken at its word.
    pub(super) accept_unsafe: bool,
}

/// The servers.
pub(super) struct Nodes {
    dialer: Arc<Dialer>,
    /// For how long a request that was not done is tried again.
    patience: Duration,
    /// What writes wait for.
    safety: Safety,
    /// What is known of the slots.
    map: RwLock<Arc<Map>>,
    /// Held while the slots are looked up, so that it is done once and not by everybody; when that failed last, and why.
    looking: tokio::sync::Mutex<Option<(Instant, Trouble)>>,
}

/// Who has which slots.
#[derive(Default)]
struct Map {
    /// How often it was looked up.
    number: usize,
    /// First and last slot of each stretch, in order, and who has it.
    stretches: Vec<(u16, u16, Arc<Link>)>,
}

impl Map {
    fn link(&self, slot: Slot) -> Option<&Arc<Link>> {
        let index = self.stretches.partition_point(|(_, last, _)| *last < slot.0);
        self.stretches.get(index).filter(|(first, _, _)| *first <= slot.0).map(|(_, _, link)| link)
    }

    /// Each server once.
    fn links(&self) -> Vec<Arc<Link>> {
        let mut links: Vec<Arc<Link>> = Vec::new();
        for (_, _, link) in &self.stretches {
            if !links.iter().any(|known| known.address == link.address) {
                links.push(Arc::clone(link));
            }
        }
        links
    }
}

impl Nodes {
    /// The servers of the dialer's target; none is asked anything yet.
    pub(super) fn new(dialer: Arc<Dialer>, patience: Duration, safety: Safety) -> Self {
        let target = &dialer.target;
        let alone = target.servers.first().filter(|_| !target.cluster);
        let stretches = alone
            .map(|server| (0, u16::MAX, Arc::new(Link::new(server.clone(), Arc::clone(&dialer)))))
            .into_iter()
            .collect();
        let map = RwLock::new(Arc::new(Map { number: 0, stretches }));
        Self { dialer, patience, safety, map, looking: tokio::sync::Mutex::new(None) }
    }

    /// Asks the server that has `slot`.
    ///
    /// # Errors
    /// `Full` if the server has no memory left, `Unavailable` otherwise; what was asked may be done then.
    pub(super) async fn ask(&self, slot: Slot, request: &Request, how: How) -> Result<Value> {
        let deadline = Instant::now() + self.patience;
        let mut pause = PAUSE_FIRST;
        let mut reads_lost = 0;
        loop {
            let map = self.map();
            let trouble = match self.try_ask(&map, slot, request, how).await {
                Ok(reply) => return Ok(reply),
                Err(trouble) => trouble,
            };
            match trouble.remedy() {
                Remedy::LookAgain | Remedy::Wait | Remedy::AskOther | Remedy::LoadScripts => {}
                Remedy::FindOut if how == How::Read && reads_lost < 2 => reads_lost += 1,
                Remedy::FindOut => {
                    // Whoever asks next should find the server that answers.
                    let _ = self.look(map.number).await;
                    return Err(trouble.into_error());
                }
                Remedy::MakeRoom | Remedy::GiveUp | Remedy::Admit => return Err(trouble.into_error()),
            }
            if Instant::now() + pause > deadline {
                return Err(trouble.into_error());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            if matches!(trouble.remedy(), Remedy::LookAgain | Remedy::FindOut) {
                // Nobody knowing better is not an error yet: the next attempt will tell.
                let _ = self.look(map.number).await;
            }
        }
    }

    /// The address of the server that has `slot`, as far as is known.
    pub(super) fn address(&self, slot: Slot) -> Option<Address> {
        self.map().link(slot).map(|link| link.address.clone())
    }

    /// Whether `home` is the life that the server with `slot` lives, as far as is known.
    pub(super) fn is_home(&self, slot: Slot, home: &str) -> bool {
        let live = self.map().link(slot).and_then(|link| link.known());
        live.map_or(!home.is_empty(), |live| *live.life() == *home)
    }

    /// Every server that has a slot; looks the slots up first.
    pub(super) async fn primaries(&self) -> Result<Vec<Arc<Link>>, Trouble> {
        self.look_again().await?;
        Ok(self.map().links())
    }

    /// Looks the slots up.
    pub(super) async fn look_again(&self) -> Result<(), Trouble> {
        self.look(self.map().number).await
    }

    /// The first slot that has no server, as far as is known.
    pub(super) fn homeless(&self) -> Option<Slot> {
        let map = self.map();
        (0..SLOTS).map(Slot).find(|slot| map.link(*slot).is_none())
    }

    async fn try_ask(&self, map: &Map, slot: Slot, request: &Request, how: How) -> Result<Value, Trouble> {
        let link = map.link(slot).ok_or(Trouble::Homeless { slot: slot.0 })?;
        let live = link.live().await?;
        if !live.facts.primary {
            link.forget(&live);
            return Err(Trouble::Follows);
        }
        let copies = match how {
            How::Read | How::Write => None,
            How::ToReplicas => Some(self.safety.replicas.max(1)),
            How::ToDisk => match live.facts.to_disk() {
                ToDisk::BeforeTheAnswer => None,
                ToDisk::WhenAsked => Some(0),
                ToDisk::SomeTime | ToDisk::NotKnown if self.safety.accept_unsafe => None,
                ToDisk::SomeTime | ToDisk::NotKnown => return Err(Trouble::NotKept),
            },
        };
        let asked = match copies {
            None => live.ask(request).await,
            Some(replicas) => {
                let copies = Copies { replicas, timeout: self.safety.timeout };
                let waiter = if replicas == 0 { &link.disk } else { &link.replicas };
                let start = || Waiter::start(Arc::clone(link.dialer()), link.address.clone(), copies);
                waiter.get_or_init(start).ask(request.clone()).await
            }
        };
        let Err(trouble) = asked else { return asked };
        match trouble.remedy() {
            Remedy::AskOther => self.ask_other(&trouble, request, how).await,
            Remedy::LoadScripts => {
                for script in super::scripts::all() {
                    live.ask(&Request::Command(script.load())).await?;
                }
                Err(trouble)
            }
            Remedy::LookAgain | Remedy::FindOut => {
                // A server that lost its slots may get them back in another life: the next connection asks for it.
                link.forget(&live);
                Err(trouble)
            }
            Remedy::Wait | Remedy::MakeRoom | Remedy::GiveUp | Remedy::Admit => Err(trouble),
        }
    }

    /// Asks the server that a slot is moving to.
    async fn ask_other(&self, trouble: &Trouble, request: &Request, how: How) -> Result<Value, Trouble> {
        if matches!(how, How::ToDisk | How::ToReplicas) {
            // That connection waits for copies of another server's; the move ends soon.
            return Err(trouble.clone());
        }
        let Trouble::Server(said) = trouble else { return Err(trouble.clone()) };
        let Some((host, port)) = said.redirect_node() else { return Err(trouble.clone()) };
        let other = Link::new(Address { host: host.to_owned(), port }, Arc::clone(&self.dialer));
        let known = self.map().links().into_iter().find(|link| link.address == other.address);
        let link = known.unwrap_or_else(|| Arc::new(other));
        link.live().await?.ask_moving(request).await
    }

    fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks the slots up, unless somebody did since the map of that number.
    async fn look(&self, known: usize) -> Result<(), Trouble> {
        if !self.dialer.target.cluster {
            return Ok(());
        }
        let began = Instant::now();
        let mut failed = self.looking.lock().await;
        let map = self.map();
        if map.number > known {
            return Ok(());
        }
        if let Some((at, trouble)) = &*failed
            && *at >= began
        {
            return Err(trouble.clone());
        }
        let looked = self.look_around(&map).await;
        *failed = looked.as_ref().err().map(|trouble| (Instant::now(), trouble.clone()));
        looked
    }

    /// Asks one server after the other until one knows who has the slots.
    async fn look_around(&self, map: &Map) -> Result<(), Trouble> {
        let mut trouble = Trouble::Homeless { slot: 0 };
        let mut links = map.links();
        // Those that are connected first: one of the others may just have died. Another one each time: one may be cut off
        // and know only what was.
        let count = links.len().max(1);
        links.rotate_left(map.number % count);
        links.sort_by_key(|link| link.known().is_none());
        let seeds = &self.dialer.target.servers;
        let unknown = seeds.iter().filter(|seed| links.iter().all(|link| link.address != **seed));
        let seeds: Vec<Arc<Link>> =
            unknown.map(|seed| Arc::new(Link::new(seed.clone(), Arc::clone(&self.dialer)))).collect();
        for link in links.iter().chain(&seeds) {
            match self.slots_of(link, map).await {
                Ok(stretches) => {
                    let next = Map { number: map.number + 1, stretches };
                    *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
                    return Ok(());
                }
                Err(failed) => trouble = failed,
            }
        }
        Err(trouble)
    }

    /// The map that one server knows; servers that are known already keep their connections.
    async fn slots_of(&self, asked: &Link, map: &Map) -> Result<Vec<(u16, u16, Arc<Link>)>, Trouble> {
        let live = asked.live().await?;
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let reply = live.ask(&Request::Command(command)).await;
        if reply.is_err() {
            asked.forget(&live);
        }
        let mut links = map.links();
        let mut stretches = Vec::new();
        for stretch in reply::list(reply?, "CLUSTER SLOTS").map_err(|_| Trouble::not_redis())? {
            let Some((first, last, address)) = read_stretch(stretch, &asked.address) else { continue };
            let known = links.iter().find(|link| link.address == address).cloned();
            let link = known.unwrap_or_else(|| {
                let link = Arc::new(Link::new(address, Arc::clone(&self.dialer)));
                links.push(Arc::clone(&link));
                link
            });
            stretches.push((first, last, link));
        }
        if stretches.is_empty() {
            return Err(Trouble::Homeless { slot: 0 });
        }
        stretches.sort_by_key(|(first, _, _)| *first);
        Ok(stretches)
    }
}

/// First and last slot and the primary of one stretch. A server that does not know its own name answers with none: it is where
/// it was asked.
fn read_stretch(stretch: Value, asked: &Address) -> Option<(u16, u16, Address)> {
    let mut values = reply::list(stretch, "CLUSTER SLOTS").ok()?.into_iter();
    let first = reply::number(&values.next()?, "CLUSTER SLOTS").ok()?;
    let last = reply::number(&values.next()?, "CLUSTER SLOTS").ok()?;
    let mut primary = reply::list(values.next()?, "CLUSTER SLOTS").ok()?.into_iter();
    let host = primary.next().and_then(|host| reply::text(&host).map(str::to_owned));
    let host = host.filter(|host| !host.is_empty() && host != "?").unwrap_or_else(|| asked.host.clone());
    let port = reply::number(&primary.next()?, "CLUSTER SLOTS").ok()?;
    Some((first, last, Address { host, port }))
}

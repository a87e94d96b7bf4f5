//! A steady load of events over gRPC, as a careful shop sends them: what has no answer is sent again with the same id, to another door
//! of the deployment, until it is known what became of it; what was refused for certain is given up. One event in ten is sent again
//! although it was acknowledged, one in twenty is late. Everything that is known goes to the oracle.

use super::oracle::Oracle;
use crate::TEST_TIMEOUT;
use portrait_proto::status::reason_of;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{Action, ErrorReason, Event, TrackRequest, TrackResponse};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tokio::task::{AbortHandle, JoinSet};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Shoppers.
const USERS: u32 = 2000;
/// Requests that are under way at once.
const SENDERS: u64 = 4;
/// Events of one request.
const BATCH: usize = 10;
/// Pause between two requests of a sender: with the others 800 events a second.
const EVERY: Duration = Duration::from_millis(50);
/// Pause before something is sent again.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// How often a sender tries another door although its own works: one that is new is found, too.
const ENDPOINT_CHANGES: f64 = 0.05;
/// How long an answer may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// By how much late events are late: sessions leave them out, sums do not.
const LATE_BY: Duration = Duration::from_secs(3600);
/// How many acknowledged events are remembered by a sender, to be sent again.
const EVENTS_REMEMBERED: usize = 500;

/// The load; it ends with this value.
pub struct Load {
    shared: Arc<Shared>,
    /// Hold it for reading while events are under way.
    turn: Arc<RwLock<()>>,
    senders: Vec<AbortHandle>,
    /// Ends them with this value.
    _sending: JoinSet<()>,
}

/// Sends what it is given, beside the load and as patiently.
pub struct LoadHandle {
    shared: Arc<Shared>,
}

/// Nothing is sent while this lives, and nothing is unknown.
pub struct PausedLoad<'a> {
    load: &'a Load,
    _turn: OwnedRwLockWriteGuard<()>,
}

struct Shared {
    /// Where ingest listens; written by whoever starts and kills it.
    endpoints: Mutex<Vec<String>>,
    oracle: Mutex<Oracle>,
    /// Who does nothing new for now; what was done before may still be under way.
    resting: Mutex<BTreeSet<String>>,
    /// Why something was sent again last.
    failure: Mutex<String>,
}

/// An event on its way.
struct PendingEvent {
    event: Event,
    /// Whether it was acknowledged before, and is sent again on purpose.
    retried: bool,
    /// Whether it may be in the log although nobody said so.
    unknown: bool,
}

/// What an answer says of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EventOutcome {
    Acknowledged,
    Refused,
    Unknown,
}

impl Load {
    /// Sends to `doors` from now on. Event ids begin with `name`, which no other load on the same store may have.
    pub fn start(name: &str, seed: u64, doors: Vec<String>) -> Self {
        let shared = Arc::new(Shared {
            endpoints: Mutex::new(doors),
            oracle: Mutex::default(),
            resting: Mutex::default(),
            failure: Mutex::default(),
        });
        let turn = Arc::new(RwLock::new(()));
        let (mut sending, mut senders) = (JoinSet::new(), Vec::new());
        for number in 0..SENDERS {
            let sender = Sender {
                name: format!("{name}-{number}"),
                sent: 0,
                rng: StdRng::seed_from_u64(seed.wrapping_mul(SENDERS).wrapping_add(number)),
                shared: Arc::clone(&shared),
                recent: VecDeque::new(),
                endpoint: None,
            };
            senders.push(sending.spawn(sender.run(Arc::clone(&turn))));
        }
        Self { shared, turn, senders, _sending: sending }
    }

    /// Where ingest listens from now on.
    pub fn set_endpoints(&self, doors: Vec<String>) {
        *lock(&self.shared.endpoints) = doors;
    }

    /// The oracle, as far as it knows now.
    pub fn oracle(&self) -> MutexGuard<'_, Oracle> {
        lock(&self.shared.oracle)
    }

    /// Lets these shoppers do nothing new from now on, and no others.
    pub fn rest(&self, users: BTreeSet<String>) {
        *lock(&self.shared.resting) = users;
    }

    /// Any shopper's name.
    pub fn any_user(chance: &mut StdRng) -> String {
        format!("shopper-{}", chance.random_range(0..USERS))
    }

    /// A hand that sends beside the load, whatever is done to the load meanwhile.
    pub fn hand(&self) -> LoadHandle {
        LoadHandle { shared: Arc::clone(&self.shared) }
    }

    /// Lets what is under way come to its end, and holds back what would follow.
    ///
    /// # Panics
    /// If it stays unknown for longer than [`PATIENCE`] what became of an event.
    pub async fn pause(&self) -> PausedLoad<'_> {
        assert!(!self.senders.iter().any(AbortHandle::is_finished), "a sender ended: what it said is above");
        let turn = tokio::time::timeout(TEST_TIMEOUT, Arc::clone(&self.turn).write_owned()).await;
        let _turn = turn.unwrap_or_else(|_| {
            panic!("it stays unknown what became of events: {}", lock(&self.shared.failure))
        });
        PausedLoad { load: self, _turn }
    }
}

impl LoadHandle {
    /// The oracle, as far as it knows now.
    pub fn oracle(&self) -> MutexGuard<'_, Oracle> {
        lock(&self.shared.oracle)
    }

    /// Sends events beside the others until each is acknowledged or refused.
    pub async fn send(&self, events: Vec<Event>) {
        lock(&self.shared.oracle).counts.sent += events.len() as u64;
        let underway = |event| PendingEvent { event, retried: false, unknown: false };
        self.sender().settle(events.into_iter().map(underway).collect()).await;
    }

    /// Asks any door that works, until one answers.
    pub async fn send_batch<T>(
        &self,
        mut ask: impl AsyncFnMut(IngestServiceClient<Channel>) -> Result<T, Status>,
    ) -> T {
        loop {
            match self.sender().next_endpoint() {
                Ok(door) => match tokio::time::timeout(RESPONSE_TIMEOUT, ask(door)).await {
                    Ok(Ok(answer)) => return answer,
                    Ok(Err(status)) => {
                        let _known = fate_of(reason_of(&status), status.message());
                        *lock(&self.shared.failure) = status.to_string();
                    }
                    Err(_) => {}
                },
                Err(status) => *lock(&self.shared.failure) = status.to_string(),
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// One that sends what it is given.
    fn sender(&self) -> Sender {
        Sender {
            name: String::new(),
            sent: 0,
            rng: StdRng::from_rng(&mut rand::rng()),
            shared: Arc::clone(&self.shared),
            recent: VecDeque::new(),
            endpoint: None,
        }
    }
}

impl PausedLoad<'_> {
    /// The oracle, which knows of every event what became of it.
    pub fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.load.oracle()
    }

    /// Sends everything again that the oracle has the events of.
    pub async fn resend(&self) {
        let events = self.oracle().events().to_vec();
        let mut sender = self.load.hand().sender();
        for batch in events.chunks(500) {
            let underway =
                batch.iter().map(|event| PendingEvent { event: event.clone(), retried: true, unknown: true });
            sender.settle(underway.collect()).await;
        }
    }
}

struct Sender {
    name: String,
    sent: u64,
    rng: StdRng,
    shared: Arc<Shared>,
    recent: VecDeque<Event>,
    /// The connection that worked last.
    endpoint: Option<IngestServiceClient<Channel>>,
}

impl Sender {
    async fn run(mut self, turn: Arc<RwLock<()>>) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let _turn = turn.read().await;
            let batch = (0..BATCH).map(|_| self.next()).collect();
            self.settle(batch).await;
        }
    }

    /// A new event, or one that was acknowledged already.
    fn next(&mut self) -> PendingEvent {
        if !self.recent.is_empty() && self.rng.random_bool(0.1) {
            let event = self.recent[self.rng.random_range(0..self.recent.len())].clone();
            return PendingEvent { event, retried: true, unknown: false };
        }
        self.sent += 1;
        let late = if self.rng.random_bool(0.05) { LATE_BY } else { Duration::ZERO };
        let resting = lock(&self.shared.resting);
        let user_id = loop {
            let user = Load::any_user(&mut self.rng);
            if !resting.contains(&user) {
                break user;
            }
        };
        // Before others rest: what is done by then was done before.
        let occurred_at = SystemTime::now() - late;
        drop(resting);
        let actions = [Action::View, Action::Search, Action::Click, Action::AddToCart, Action::Purchase];
        let event = Event {
            event_id: format!("{}-{}", self.name, self.sent),
            user_id,
            action: actions[self.rng.random_range(0..actions.len())].into(),
            occurred_at: Some(occurred_at.into()),
            item_id: format!("item-{}", self.rng.random_range(0..200)),
            category: format!("category-{}", self.rng.random_range(0..20)),
            price: Some(f64::from(self.rng.random_range(1..100_u32))),
            ..Default::default()
        };
        lock(&self.shared.oracle).counts.sent += 1;
        PendingEvent { event, retried: false, unknown: false }
    }

    /// Sends until it is known of every event what became of it.
    async fn settle(&mut self, mut open: Vec<PendingEvent>) {
        loop {
            let answer = self.ask(&open).await;
            let fates = fates(&answer, open.len());
            let mut left = Vec::new();
            for (mut underway, fate) in open.into_iter().zip(fates) {
                match fate {
                    EventOutcome::Acknowledged => self.acknowledged(underway),
                    // It never came further than the door.
                    EventOutcome::Refused if !underway.unknown => {
                        lock(&self.shared.oracle).counts.refused += u64::from(!underway.retried);
                    }
                    EventOutcome::Refused => left.push(underway),
                    EventOutcome::Unknown => {
                        lock(&self.shared.oracle).counts.unknown += 1;
                        underway.unknown = true;
                        left.push(underway);
                    }
                }
            }
            if left.is_empty() {
                return;
            }
            *lock(&self.shared.failure) = format!("{answer:?}");
            open = left;
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    fn acknowledged(&mut self, underway: PendingEvent) {
        if underway.retried {
            return;
        }
        if self.recent.len() == EVENTS_REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(underway.event.clone());
        lock(&self.shared.oracle).acknowledged(underway.event);
    }

    /// Sends once, through the door that worked last or any other.
    async fn ask(&mut self, open: &[PendingEvent]) -> Result<TrackResponse, Status> {
        let events = open.iter().map(|underway| underway.event.clone()).collect();
        let mut request = Request::new(TrackRequest { events, backfill: false });
        request.set_timeout(RESPONSE_TIMEOUT);
        let stays = !self.rng.random_bool(ENDPOINT_CHANGES);
        let mut client = match self.endpoint.take().filter(|_| stays) {
            Some(client) => client,
            None => self.next_endpoint()?,
        };
        // A server that hangs does not keep its deadline.
        let answer = tokio::time::timeout(RESPONSE_TIMEOUT, client.track(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer came")))?;
        self.endpoint = Some(client);
        Ok(answer.into_inner())
    }

    fn next_endpoint(&mut self) -> Result<IngestServiceClient<Channel>, Status> {
        let doors = lock(&self.shared.endpoints);
        if doors.is_empty() {
            return Err(Status::unavailable("there is no door"));
        }
        let url = doors[self.rng.random_range(0..doors.len())].clone();
        let endpoint = Endpoint::from_shared(url).expect("an address").tcp_nodelay(true);
        Ok(IngestServiceClient::new(endpoint.connect_timeout(RESPONSE_TIMEOUT).connect_lazy()))
    }
}

/// What an answer says of each event.
///
/// # Panics
/// If it refuses an event for good: the load sends none that is wrong.
fn fates(answer: &Result<TrackResponse, Status>, count: usize) -> Vec<EventOutcome> {
    match answer {
        Ok(response) => {
            let mut fates = vec![EventOutcome::Acknowledged; count];
            for rejection in &response.rejected {
                fates[rejection.index as usize] = fate_of(Some(rejection.reason()), &rejection.message);
            }
            fates
        }
        Err(status) => vec![fate_of(reason_of(status), status.message()); count],
    }
}

fn fate_of(reason: Option<ErrorReason>, message: &str) -> EventOutcome {
    match reason {
        Some(ErrorReason::StoreFull | ErrorReason::Overloaded) => EventOutcome::Refused,
        // From the connection, and not from the server.
        None => EventOutcome::Unknown,
        Some(ErrorReason::StoreUnavailable | ErrorReason::ShuttingDown) => EventOutcome::Unknown,
        Some(reason) => panic!("{reason:?}: {message}"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

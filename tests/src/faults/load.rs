//! Steady load of events over gRPC. Events with an unknown outcome are retried with the same id at another ingest endpoint until the
//! outcome is known; refused events are dropped. 10% of the acknowledged events are resent on purpose, 5% of the events are late. Every
//! outcome is reported to the oracle.

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

/// Number of users.
const USERS: u32 = 2000;
/// Concurrent requests.
const SENDERS: u64 = 4;
/// Events per request.
const BATCH: usize = 10;
/// Interval between two requests of a sender; all senders together send 800 events a second.
const SEND_INTERVAL: Duration = Duration::from_millis(50);
/// Pause before a retry.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// Probability that a sender changes its endpoint although it works, so that new processes get load too.
const ENDPOINT_CHANGES: f64 = 0.05;
/// Time limit of a call.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Delay of late events: longer than a session, so that sessions ignore them while sums count them.
const LATE_BY: Duration = Duration::from_secs(3600);
/// Acknowledged events that a sender keeps for duplicates.
const EVENTS_REMEMBERED: usize = 500;

/// Background load; stops when dropped.
pub struct Load {
    shared: Arc<Shared>,
    /// Held for reading while events are in flight.
    in_flight: Arc<RwLock<()>>,
    senders: Vec<AbortHandle>,
    /// Aborts the senders when dropped.
    _tasks: JoinSet<()>,
}

/// Sends given events in addition to the load, with the same retries.
pub struct LoadHandle {
    shared: Arc<Shared>,
}

/// Paused load: nothing is in flight and every outcome is known until this is dropped.
pub struct PausedLoad<'a> {
    load: &'a Load,
    _guard: OwnedRwLockWriteGuard<()>,
}

struct Shared {
    /// URLs of the ingest processes; updated when a test starts or kills one.
    endpoints: Mutex<Vec<String>>,
    oracle: Mutex<Oracle>,
    /// Users without new events; earlier events may still be in flight.
    excluded: Mutex<BTreeSet<String>>,
    /// Latest reason of a retry.
    failure: Mutex<String>,
}

/// Event without a final outcome.
struct PendingEvent {
    event: Event,
    /// True for a deliberate duplicate of an acknowledged event.
    retried: bool,
    /// True after a response that did not tell the outcome: the event may be in the log.
    unknown: bool,
}

/// Outcome of an event according to a response.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EventOutcome {
    Acknowledged,
    Refused,
    Unknown,
}

impl Load {
    /// Starts a load on `endpoints`. Event ids begin with `name`, which must be unique among the loads of a store.
    pub fn start(name: &str, seed: u64, endpoints: Vec<String>) -> Self {
        let shared = Arc::new(Shared {
            endpoints: Mutex::new(endpoints),
            oracle: Mutex::default(),
            excluded: Mutex::default(),
            failure: Mutex::default(),
        });
        let in_flight = Arc::new(RwLock::new(()));
        let mut tasks = JoinSet::new();
        let mut senders = Vec::new();
        for number in 0..SENDERS {
            let sender = Sender {
                name: format!("{name}-{number}"),
                sent: 0,
                rng: StdRng::seed_from_u64(seed.wrapping_mul(SENDERS).wrapping_add(number)),
                shared: Arc::clone(&shared),
                recent: VecDeque::new(),
                endpoint: None,
            };
            senders.push(tasks.spawn(sender.run(Arc::clone(&in_flight))));
        }
        Self { shared, in_flight, senders, _tasks: tasks }
    }

    /// Replaces the URLs of the ingest processes.
    pub fn set_endpoints(&self, endpoints: Vec<String>) {
        *lock(&self.shared.endpoints) = endpoints;
    }

    /// Oracle with the outcomes so far.
    pub fn oracle(&self) -> MutexGuard<'_, Oracle> {
        lock(&self.shared.oracle)
    }

    /// Replaces the set of users for which no new events are generated.
    pub fn exclude_users(&self, users: BTreeSet<String>) {
        *lock(&self.shared.excluded) = users;
    }

    /// Random user id.
    pub fn any_user(rng: &mut StdRng) -> String {
        format!("user-{}", rng.random_range(0..USERS))
    }

    /// Returns a handle that sends events independently of pauses of the load.
    pub fn handle(&self) -> LoadHandle {
        LoadHandle { shared: Arc::clone(&self.shared) }
    }

    /// Waits until every outcome is known and holds back new events.
    ///
    /// # Panics
    /// If an outcome stays unknown for longer than [`TEST_TIMEOUT`].
    pub async fn pause(&self) -> PausedLoad<'_> {
        assert!(
            !self.senders.iter().any(AbortHandle::is_finished),
            "a sender panicked: its message is above"
        );
        let guard = tokio::time::timeout(TEST_TIMEOUT, Arc::clone(&self.in_flight).write_owned()).await;
        let _guard = guard.unwrap_or_else(|_| {
            panic!("the outcome of events stays unknown: {}", lock(&self.shared.failure))
        });
        PausedLoad { load: self, _guard }
    }
}

impl LoadHandle {
    /// Oracle with the outcomes so far.
    pub fn oracle(&self) -> MutexGuard<'_, Oracle> {
        lock(&self.shared.oracle)
    }

    /// Sends events until each is acknowledged or refused.
    pub async fn send(&self, events: Vec<Event>) {
        lock(&self.shared.oracle).counts.sent += events.len() as u64;
        let pending = |event| PendingEvent { event, retried: false, unknown: false };
        self.sender().settle(events.into_iter().map(pending).collect()).await;
    }

    /// Repeats a call at random endpoints until one responds.
    pub async fn call_until_answered<T>(
        &self,
        mut call: impl AsyncFnMut(IngestServiceClient<Channel>) -> Result<T, Status>,
    ) -> T {
        loop {
            match self.sender().next_endpoint() {
                Ok(client) => match tokio::time::timeout(RESPONSE_TIMEOUT, call(client)).await {
                    Ok(Ok(response)) => return response,
                    Ok(Err(status)) => {
                        // Panics for a reason that a retry cannot change.
                        let _outcome = outcome_of(reason_of(&status), status.message());
                        *lock(&self.shared.failure) = status.to_string();
                    }
                    Err(_) => {}
                },
                Err(status) => *lock(&self.shared.failure) = status.to_string(),
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// Sender for one call.
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
    /// Oracle with the outcome of every event.
    pub fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.load.oracle()
    }

    /// Resends every event that the oracle has recorded.
    pub async fn resend(&self) {
        let events = self.oracle().events().to_vec();
        let mut sender = self.load.handle().sender();
        for batch in events.chunks(500) {
            let pending =
                batch.iter().map(|event| PendingEvent { event: event.clone(), retried: true, unknown: true });
            sender.settle(pending.collect()).await;
        }
    }
}

struct Sender {
    name: String,
    sent: u64,
    rng: StdRng,
    shared: Arc<Shared>,
    recent: VecDeque<Event>,
    /// Connection of the latest successful call.
    endpoint: Option<IngestServiceClient<Channel>>,
}

impl Sender {
    async fn run(mut self, in_flight: Arc<RwLock<()>>) {
        let mut ticks = tokio::time::interval(SEND_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let _guard = in_flight.read().await;
            let batch = (0..BATCH).map(|_| self.next()).collect();
            self.settle(batch).await;
        }
    }

    /// Returns a new event, or a duplicate of an acknowledged one.
    fn next(&mut self) -> PendingEvent {
        if !self.recent.is_empty() && self.rng.random_bool(0.1) {
            let event = self.recent[self.rng.random_range(0..self.recent.len())].clone();
            return PendingEvent { event, retried: true, unknown: false };
        }
        self.sent += 1;
        let late = if self.rng.random_bool(0.05) { LATE_BY } else { Duration::ZERO };
        let resting = lock(&self.shared.excluded);
        let user_id = loop {
            let user = Load::any_user(&mut self.rng);
            if !resting.contains(&user) {
                break user;
            }
        };
        // Taken under the lock, so that an event of an excluded user is never later than its exclusion.
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

    /// Sends events until every outcome is known.
    async fn settle(&mut self, mut open: Vec<PendingEvent>) {
        loop {
            let response = self.send_once(&open).await;
            let outcomes = outcomes(&response, open.len());
            let mut left = Vec::new();
            for (mut pending, outcome) in open.into_iter().zip(outcomes) {
                match outcome {
                    EventOutcome::Acknowledged => self.acknowledged(pending),
                    // Refused on every attempt, so it is certainly not in the log.
                    EventOutcome::Refused if !pending.unknown => {
                        lock(&self.shared.oracle).counts.refused += u64::from(!pending.retried);
                    }
                    EventOutcome::Refused => left.push(pending),
                    EventOutcome::Unknown => {
                        lock(&self.shared.oracle).counts.unknown += 1;
                        pending.unknown = true;
                        left.push(pending);
                    }
                }
            }
            if left.is_empty() {
                return;
            }
            *lock(&self.shared.failure) = format!("{response:?}");
            open = left;
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    fn acknowledged(&mut self, pending: PendingEvent) {
        if pending.retried {
            return;
        }
        if self.recent.len() == EVENTS_REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(pending.event.clone());
        lock(&self.shared.oracle).acknowledged(pending.event);
    }

    /// Sends one request through the latest working endpoint or a random one.
    async fn send_once(&mut self, open: &[PendingEvent]) -> Result<TrackResponse, Status> {
        let events = open.iter().map(|pending| pending.event.clone()).collect();
        let mut request = Request::new(TrackRequest { events, backfill: false });
        request.set_timeout(RESPONSE_TIMEOUT);
        let keeps_endpoint = !self.rng.random_bool(ENDPOINT_CHANGES);
        let mut client = match self.endpoint.take().filter(|_| keeps_endpoint) {
            Some(client) => client,
            None => self.next_endpoint()?,
        };
        // A suspended server does not enforce the deadline itself.
        let response = tokio::time::timeout(RESPONSE_TIMEOUT, client.track(request)).await;
        let response = response.unwrap_or_else(|_| Err(Status::deadline_exceeded("no response")))?;
        self.endpoint = Some(client);
        Ok(response.into_inner())
    }

    fn next_endpoint(&mut self) -> Result<IngestServiceClient<Channel>, Status> {
        let endpoints = lock(&self.shared.endpoints);
        if endpoints.is_empty() {
            return Err(Status::unavailable("no ingest process runs"));
        }
        let url = endpoints[self.rng.random_range(0..endpoints.len())].clone();
        let endpoint = Endpoint::from_shared(url).expect("an address").tcp_nodelay(true);
        Ok(IngestServiceClient::new(endpoint.connect_timeout(RESPONSE_TIMEOUT).connect_lazy()))
    }
}

/// Outcome of each event of a request.
///
/// # Panics
/// If an event is rejected as invalid, because the load sends valid events only.
fn outcomes(response: &Result<TrackResponse, Status>, count: usize) -> Vec<EventOutcome> {
    match response {
        Ok(response) => {
            let mut outcomes = vec![EventOutcome::Acknowledged; count];
            for rejection in &response.rejected {
                outcomes[rejection.index as usize] = outcome_of(Some(rejection.reason()), &rejection.message);
            }
            outcomes
        }
        Err(status) => vec![outcome_of(reason_of(status), status.message()); count],
    }
}

fn outcome_of(reason: Option<ErrorReason>, message: &str) -> EventOutcome {
    match reason {
        Some(ErrorReason::StoreFull | ErrorReason::Overloaded) => EventOutcome::Refused,
        // A status without a reason comes from the connection, not from the server.
        None => EventOutcome::Unknown,
        Some(ErrorReason::StoreUnavailable | ErrorReason::ShuttingDown) => EventOutcome::Unknown,
        Some(reason) => panic!("{reason:?}: {message}"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

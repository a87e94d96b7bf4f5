//! The stream of events to the server: in go events one by one, out go requests of some hundred, several under way. It never
//! has more than a window of requests without an answer, and says at once when something is refused.

use super::probe::{Probe, Prober};
use anyhow::{Result, anyhow, bail};
use portrait_client::Line;
use portrait_client::REQUEST_EVENTS;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{Event, TrackStreamRequest, TrackStreamResponse};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Requests that may be without an answer.
const WINDOW: u32 = 32;
/// Every so many answers one is probed.
const PROBE_EVERY: u64 = 4;

/// An open stream.
pub(super) struct Feed {
    requests: mpsc::Sender<TrackStreamRequest>,
    window: Arc<Semaphore>,
    shared: Arc<Mutex<Shared>>,
    answering: JoinHandle<()>,
    waiting: Vec<Event>,
    sent_requests: u64,
    sent_events: u64,
}

/// What sender and receiver both know.
#[derive(Default)]
struct Shared {
    /// A shopper of each request without an answer, oldest first; at most [`WINDOW`].
    under_way: VecDeque<String>,
    accepted: u64,
    /// Why nothing more can be sent.
    fault: Option<String>,
}

impl Feed {
    /// Opens the stream. Some answers are handed to `prober`, if it has time.
    pub(super) async fn open(channel: Line, prober: Prober) -> Result<Self> {
        let (requests, receiver) = mpsc::channel(WINDOW as usize);
        let mut client = IngestServiceClient::new(channel);
        let answers = client.track_stream(ReceiverStream::new(receiver)).await?.into_inner();
        let window = Arc::new(Semaphore::new(WINDOW as usize));
        let shared = Arc::new(Mutex::new(Shared::default()));
        let answering = tokio::spawn(take_answers(answers, Arc::clone(&window), Arc::clone(&shared), prober));
        let waiting = Vec::with_capacity(REQUEST_EVENTS);
        Ok(Self { requests, window, shared, answering, waiting, sent_requests: 0, sent_events: 0 })
    }

    /// Sends an event, sooner or later; waits while the window is full.
    pub(super) async fn send(&mut self, event: Event) -> Result<()> {
        self.waiting.push(event);
        if self.waiting.len() >= REQUEST_EVENTS { self.send_waiting().await } else { Ok(()) }
    }

    /// Sends what waits, and returns when everything sent is acknowledged.
    pub(super) async fn flush(&mut self) -> Result<()> {
        self.send_waiting().await?;
        match self.window.acquire_many(WINDOW).await {
            Ok(_all) => Ok(()),
            Err(_) => Err(self.fault()),
        }
    }

    /// How many events were sent.
    pub(super) fn sent_events(&self) -> u64 {
        self.sent_events
    }

    /// Ends the stream when everything is acknowledged, and says how many events were.
    pub(super) async fn close(mut self) -> Result<u64> {
        self.flush().await?;
        drop(self.requests);
        self.answering.await?;
        let accepted = lock(&self.shared).accepted;
        if accepted != self.sent_events {
            bail!("{accepted} of {} events were acknowledged", self.sent_events);
        }
        Ok(accepted)
    }

    async fn send_waiting(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let Ok(permit) = self.window.acquire().await else { return Err(self.fault()) };
        // The answer gives it back.
        permit.forget();
        let events = std::mem::replace(&mut self.waiting, Vec::with_capacity(REQUEST_EVENTS));
        let shopper = events.first().map(|event| event.user_id.clone()).unwrap_or_default();
        lock(&self.shared).under_way.push_back(shopper);
        self.sent_requests += 1;
        self.sent_events += events.len() as u64;
        let request = TrackStreamRequest { request_number: self.sent_requests, events, backfill: true };
        self.requests.send(request).await.map_err(|_| self.fault())
    }

    fn fault(&self) -> anyhow::Error {
        let fault = lock(&self.shared).fault.clone();
        anyhow!(fault.unwrap_or_else(|| "the server ended the stream".to_owned()))
    }
}

async fn take_answers(
    mut answers: Streaming<TrackStreamResponse>,
    window: Arc<Semaphore>,
    shared: Arc<Mutex<Shared>>,
    mut prober: Prober,
) {
    let fault = loop {
        let answer = match answers.message().await {
            Ok(Some(answer)) => answer,
            Ok(None) => break None,
            Err(status) => break Some(format!("the server ended the stream: {}", status.message())),
        };
        if let Some(rejection) = answer.rejected.first() {
            break Some(format!("{} was rejected: {}", rejection.field, rejection.message));
        }
        let mut shared = lock(&shared);
        shared.accepted += u64::from(answer.accepted);
        let shopper = shared.under_way.pop_front();
        drop(shared);
        if answer.request_number % PROBE_EVERY == 0
            && let Some(user_id) = shopper
        {
            prober.probe(Probe { user_id, token: answer.consistency_token, acknowledged: Instant::now() });
        }
        window.add_permits(1);
    };
    lock(&shared).fault = fault;
    // Whoever waits for room or for the last answer is told that none will come.
    window.close();
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

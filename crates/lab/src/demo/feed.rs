//! Stream of events to the server: batches events into requests and keeps up to a window of them in flight.
//! Rejections are reported at once.

use super::probe::{PendingProbe, Prober};
use anyhow::{Result, anyhow, bail};
use portrait_client::REQUEST_EVENTS;
use portrait_client::RoleRouter;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{Event, TrackStreamRequest, TrackStreamResponse};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Requests in flight, at most.
const WINDOW: u32 = 32;
/// Responses from one probe of freshness to the next.
const PROBE_EVERY: u64 = 4;

/// Open `TrackStream` call with its queue.
pub(super) struct EventFeed {
    requests: mpsc::Sender<TrackStreamRequest>,
    window: Arc<Semaphore>,
    shared: Arc<Mutex<FeedState>>,
    receiving: JoinHandle<()>,
    queued: Vec<Event>,
    sent_requests: u64,
    sent_events: u64,
}

/// State that sender and receiver share.
#[derive(Default)]
struct FeedState {
    /// One user of each request in flight, oldest first; at most [`WINDOW`].
    in_flight: VecDeque<String>,
    accepted: u64,
    /// Reason that the stream ended.
    error: Option<String>,
}

impl EventFeed {
    /// Opens the stream. Some acknowledgements are passed to `prober`, if it is idle.
    pub(super) async fn open(channel: RoleRouter, prober: Prober) -> Result<Self> {
        let (requests, receiver) = mpsc::channel(WINDOW as usize);
        let mut client = IngestServiceClient::new(channel);
        let responses = client.track_stream(ReceiverStream::new(receiver)).await?.into_inner();
        let window = Arc::new(Semaphore::new(WINDOW as usize));
        let shared = Arc::new(Mutex::new(FeedState::default()));
        let answering =
            tokio::spawn(take_responses(responses, Arc::clone(&window), Arc::clone(&shared), prober));
        let waiting = Vec::with_capacity(REQUEST_EVENTS);
        Ok(Self {
            requests,
            window,
            shared,
            receiving: answering,
            queued: waiting,
            sent_requests: 0,
            sent_events: 0,
        })
    }

    /// Queues an event for the next request; waits while the window is full.
    pub(super) async fn send(&mut self, event: Event) -> Result<()> {
        self.queued.push(event);
        if self.queued.len() >= REQUEST_EVENTS { self.send_queued().await } else { Ok(()) }
    }

    /// Sends the queued events and waits until all events are acknowledged.
    pub(super) async fn flush(&mut self) -> Result<()> {
        self.send_queued().await?;
        match self.window.acquire_many(WINDOW).await {
            Ok(_all) => Ok(()),
            Err(_) => Err(self.error()),
        }
    }

    /// Number of events sent.
    pub(super) fn sent_events(&self) -> u64 {
        self.sent_events
    }

    /// Ends the stream after all acknowledgements; returns the number of acknowledged events.
    pub(super) async fn close(mut self) -> Result<u64> {
        self.flush().await?;
        drop(self.requests);
        self.receiving.await?;
        let accepted = lock(&self.shared).accepted;
        // The server de-duplicates by id, and ids are unique: fewer acknowledged events would be lost ones.
        if accepted != self.sent_events {
            bail!("{accepted} of {} events were acknowledged", self.sent_events);
        }
        Ok(accepted)
    }

    async fn send_queued(&mut self) -> Result<()> {
        if self.queued.is_empty() {
            return Ok(());
        }
        let Ok(permit) = self.window.acquire().await else { return Err(self.error()) };
        // The response returns the permit.
        permit.forget();
        let events = std::mem::replace(&mut self.queued, Vec::with_capacity(REQUEST_EVENTS));
        let user_id = events.first().map(|event| event.user_id.clone()).unwrap_or_default();
        lock(&self.shared).in_flight.push_back(user_id);
        self.sent_requests += 1;
        self.sent_events += events.len() as u64;
        let request = TrackStreamRequest { request_number: self.sent_requests, events, backfill: true };
        // The window bounds the queue as well: a permit was taken for every request in it.
        self.requests.send(request).await.map_err(|_| self.error())
    }

    fn error(&self) -> anyhow::Error {
        let error = lock(&self.shared).error.clone();
        anyhow!(error.unwrap_or_else(|| "the server ended the stream".to_owned()))
    }
}

async fn take_responses(
    mut responses: Streaming<TrackStreamResponse>,
    window: Arc<Semaphore>,
    shared: Arc<Mutex<FeedState>>,
    mut prober: Prober,
) {
    let error = loop {
        let response = match responses.message().await {
            Ok(Some(response)) => response,
            Ok(None) => break None,
            Err(status) => break Some(format!("the server ended the stream: {}", status.message())),
        };
        if let Some(rejection) = response.rejected.first() {
            break Some(format!("{} was rejected: {}", rejection.field, rejection.message));
        }
        // Responses come in the order of requests: the oldest request in flight is the acknowledged one.
        let mut shared = lock(&shared);
        shared.accepted += u64::from(response.accepted);
        let user_id = shared.in_flight.pop_front();
        drop(shared);
        if response.request_number % PROBE_EVERY == 0
            && let Some(user_id) = user_id
        {
            // A sample is enough, and each probe is a read that the demo would not do otherwise.
            prober.probe(PendingProbe {
                user_id,
                token: response.consistency_token,
                acknowledged: Instant::now(),
            });
        }
        window.add_permits(1);
    };
    lock(&shared).error = error;
    // Closing the window fails callers that wait for a permit or for the last response.
    window.close();
}

fn lock(shared: &Mutex<FeedState>) -> MutexGuard<'_, FeedState> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

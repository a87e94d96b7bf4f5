//! Streaming sender: events over one stream with several requests in flight, items in batches. Requests without a response at the
//! end of the stream count as not sent.

use crate::{Error, RoleRouter};
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{
    Event, Item, Rejection, TrackStreamRequest, TrackStreamResponse, UpsertItemsRequest,
};
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Maximum number of events in one request.
pub const REQUEST_EVENTS: usize = 1000;
/// Maximum number of requests in flight on a stream.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 32;

/// Stream of events to a server, with batches of items beside it.
///
/// A request holds [`REQUEST_EVENTS`] events. With [`REQUESTS_IN_FLIGHT_MAX`] requests in flight the next one waits, so a slow
/// server slows its callers and their memory stays bounded.
///
/// Responses arrive in the order of the events. After an error, the first [`Self::confirmed_events`] events need not be sent
/// again; sending others twice is harmless if they have ids.
#[derive(Debug)]
pub struct Sender {
    client: IngestServiceClient<RoleRouter>,
    requests: mpsc::Sender<TrackStreamRequest>,
    responses: Streaming<TrackStreamResponse>,
    events: Vec<Event>,
    items: Vec<Item>,
    next_number: u64,
    /// Number of events of each request in flight, oldest first.
    in_flight: VecDeque<usize>,
    /// Results that were not taken yet.
    results: Vec<RequestResult>,
    confirmed_events: u64,
}

/// Result of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestResult {
    /// Number of accepted events or items, duplicates included.
    pub accepted: u32,
    /// Rejected events or items, with reasons.
    pub rejected: Vec<Rejection>,
}

impl Sender {
    /// Opens a stream.
    ///
    /// # Errors
    /// [`Error::Status`] if the server refuses the stream.
    pub async fn open(router: RoleRouter) -> Result<Self, Error> {
        let mut client = IngestServiceClient::new(router);
        // The queue has the size of the window, so sending never blocks on the queue alone.
        let (requests, receiver) = mpsc::channel(REQUESTS_IN_FLIGHT_MAX);
        let responses = client.track_stream(ReceiverStream::new(receiver)).await?.into_inner();
        Ok(Self {
            client,
            requests,
            responses,
            events: Vec::new(),
            items: Vec::new(),
            next_number: 0,
            in_flight: VecDeque::new(),
            results: Vec::new(),
            confirmed_events: 0,
        })
    }

    /// Adds an event to the next request, which is sent once it is full.
    ///
    /// # Errors
    /// [`Error::Failed`] or [`Error::Protocol`] if the stream has ended.
    pub async fn event(&mut self, event: Event) -> Result<(), Error> {
        self.events.push(event);
        if self.events.len() == REQUEST_EVENTS { self.send_events().await } else { Ok(()) }
    }

    /// Adds a catalogue item to the next batch, which is sent once it is full.
    ///
    /// # Errors
    /// [`Error::Failed`] if the server refuses the batch.
    pub async fn item(&mut self, item: Item) -> Result<(), Error> {
        self.items.push(item);
        if self.items.len() == REQUEST_EVENTS { self.send_items().await } else { Ok(()) }
    }

    /// Sends the incomplete requests and waits for all responses.
    ///
    /// # Errors
    /// [`Error::Failed`] or [`Error::Protocol`] if the stream ends before.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.send_items().await?;
        self.send_events().await?;
        while !self.in_flight.is_empty() {
            self.handle_response().await?;
        }
        Ok(())
    }

    /// Takes the results received since the last call. They remain available after an error.
    pub fn take_results(&mut self) -> Vec<RequestResult> {
        std::mem::take(&mut self.results)
    }

    /// Returns the number of leading events with a response, accepted or rejected.
    pub fn confirmed_events(&self) -> u64 {
        self.confirmed_events
    }

    /// Takes the results; returns the number of accepted events, or the first rejection as an error.
    fn take_accepted(&mut self) -> Result<usize, Error> {
        let mut accepted = 0;
        for RequestResult { accepted: count, rejected } in self.take_results() {
            if let Some(Rejection { field, message, .. }) = rejected.into_iter().next() {
                return Err(Error::Rejected { field, message });
            }
            accepted += count as usize;
        }
        Ok(accepted)
    }

    async fn send_events(&mut self) -> Result<(), Error> {
        let events = std::mem::take(&mut self.events);
        if events.is_empty() {
            return Ok(());
        }
        // A bounded window: without it a slow server would fill the memory of its callers.
        if self.in_flight.len() == REQUESTS_IN_FLIGHT_MAX {
            self.handle_response().await?;
        }
        self.in_flight.push_back(events.len());
        // Marked as backfill, so that the rate limit per user does not reject events of a log.
        let request = TrackStreamRequest { request_number: self.next_number, events, backfill: true };
        self.next_number += 1;
        if self.requests.send(request).await.is_err() {
            // The stream has ended; the remaining responses end with its status.
            loop {
                self.handle_response().await?;
            }
        }
        Ok(())
    }

    async fn handle_response(&mut self) -> Result<(), Error> {
        let response = self.responses.message().await.map_err(Error::Failed)?;
        let TrackStreamResponse { accepted, rejected, .. } =
            response.ok_or(Error::Protocol("the server ended the stream"))?;
        // Responses come in the order of requests, so the oldest request is the one confirmed.
        let Some(events) = self.in_flight.pop_front() else {
            return Err(Error::Protocol("the server sent a response without a request"));
        };
        // Rejected events count as confirmed too: sending them again would be rejected again.
        self.confirmed_events += events as u64;
        self.results.push(RequestResult { accepted, rejected });
        Ok(())
    }

    async fn send_items(&mut self) -> Result<(), Error> {
        let items = std::mem::take(&mut self.items);
        if items.is_empty() {
            return Ok(());
        }
        let response = self.client.upsert_items(UpsertItemsRequest { items }).await;
        let response = response.map_err(Error::Failed)?.into_inner();
        self.results.push(RequestResult { accepted: response.accepted, rejected: response.rejected });
        Ok(())
    }
}

/// Sends events over one stream and waits until all are acknowledged.
///
/// # Errors
/// [`Error::Rejected`] for the first rejected event, [`Error::Failed`] or [`Error::Protocol`] if the stream ends early.
pub async fn send_all(router: RoleRouter, events: &[Event]) -> Result<(), Error> {
    let mut sender = Sender::open(router).await?;
    let mut accepted = 0;
    for batch in events.chunks(REQUEST_EVENTS) {
        for event in batch {
            sender.event(event.clone()).await?;
        }
        accepted += sender.take_accepted()?;
    }
    sender.flush().await?;
    accepted += sender.take_accepted()?;
    if accepted != events.len() {
        return Err(Error::Unacknowledged { accepted, sent: events.len() });
    }
    Ok(())
}

//! Streaming sender: events as a stream with several requests under way, items in batches. In come events and items, out goes the
//! server's answer to each request. Whatever has no answer when the stream ends counts as not sent.

use crate::{Error, RoleRouter};
use futures::StreamExt;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{
    Event, Item, Rejection, TrackStreamRequest, TrackStreamResponse, UpsertItemsRequest,
};
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Events of one request of a stream.
pub const REQUEST_EVENTS: usize = 1000;
/// Requests of a stream that may be under way.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 32;

/// Stream of events to a server, and batches of items beside it.
///
/// A request takes [`REQUEST_EVENTS`] events. At most [`REQUESTS_IN_FLIGHT_MAX`] requests wait for an answer: then the next one waits
/// too, so that a slow server slows its callers and their memory stays bounded.
///
/// Events are answered in the order in which they were given. After an error, [`Self::answered_events`] of them need not be sent
/// again; to send others twice does no harm if they have ids.
#[derive(Debug)]
pub struct Sender {
    client: IngestServiceClient<RoleRouter>,
    requests: mpsc::Sender<TrackStreamRequest>,
    responses: Streaming<TrackStreamResponse>,
    events: Vec<Event>,
    items: Vec<Item>,
    next_number: u64,
    /// Events of the requests that have no answer yet, oldest first.
    in_flight: VecDeque<usize>,
    /// Answers that were not taken yet.
    results: Vec<RequestResult>,
    answered_events: u64,
}

/// Answer of the server to one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestResult {
    /// Events or items that the server has, duplicates among them.
    pub accepted: u32,
    /// Events or items that the server did not take, with the reasons.
    pub rejected: Vec<Rejection>,
}

impl Sender {
    /// Opens a stream.
    ///
    /// # Errors
    /// If the server refuses it.
    pub async fn open(line: RoleRouter) -> Result<Self, Error> {
        let mut client = IngestServiceClient::new(line);
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
            answered_events: 0,
        })
    }

    /// Sends an event, together with others.
    ///
    /// # Errors
    /// If the stream ends.
    pub async fn event(&mut self, event: Event) -> Result<(), Error> {
        self.events.push(event);
        if self.events.len() == REQUEST_EVENTS { self.send_events().await } else { Ok(()) }
    }

    /// Sends an item of the catalogue, together with others.
    ///
    /// # Errors
    /// If the server refuses the batch.
    pub async fn item(&mut self, item: Item) -> Result<(), Error> {
        self.items.push(item);
        if self.items.len() == REQUEST_EVENTS { self.send_items().await } else { Ok(()) }
    }

    /// Sends what waits, and returns when everything sent is answered.
    ///
    /// # Errors
    /// If the stream ends before.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.send_items().await?;
        self.send_events().await?;
        while !self.in_flight.is_empty() {
            self.handle_response().await?;
        }
        Ok(())
    }

    /// Takes the answers that came since the last call. They are there after an error too.
    pub fn take_results(&mut self) -> Vec<RequestResult> {
        std::mem::take(&mut self.results)
    }

    /// Number of events, from the first one on, that are answered: accepted or rejected.
    pub fn answered_events(&self) -> u64 {
        self.answered_events
    }

    async fn send_events(&mut self) -> Result<(), Error> {
        let events = std::mem::take(&mut self.events);
        if events.is_empty() {
            return Ok(());
        }
        if self.in_flight.len() == REQUESTS_IN_FLIGHT_MAX {
            self.handle_response().await?;
        }
        self.in_flight.push_back(events.len());
        let request = TrackStreamRequest { request_number: self.next_number, events, backfill: true };
        self.next_number += 1;
        if self.requests.send(request).await.is_err() {
            // The stream has ended: its last answer says why.
            loop {
                self.handle_response().await?;
            }
        }
        Ok(())
    }

    async fn handle_response(&mut self) -> Result<(), Error> {
        let response = self.responses.message().await.map_err(Error::Answered)?;
        let TrackStreamResponse { accepted, rejected, .. } =
            response.ok_or(Error::Protocol("the server ended the stream"))?;
        let Some(events) = self.in_flight.pop_front() else {
            return Err(Error::Protocol("the server answered what was not asked"));
        };
        self.answered_events += events as u64;
        self.results.push(RequestResult { accepted, rejected });
        Ok(())
    }

    async fn send_items(&mut self) -> Result<(), Error> {
        let items = std::mem::take(&mut self.items);
        if items.is_empty() {
            return Ok(());
        }
        let response = self.client.upsert_items(UpsertItemsRequest { items }).await;
        let response = response.map_err(Error::Answered)?.into_inner();
        self.results.push(RequestResult { accepted: response.accepted, rejected: response.rejected });
        Ok(())
    }
}

/// Sends events as one stream and returns when the last one is acknowledged.
///
/// # Errors
/// If the stream breaks or anything is rejected.
pub async fn send_all(line: RoleRouter, events: &[Event]) -> Result<(), Error> {
    let mut client = IngestServiceClient::new(line);
    let (requests, receiver) = mpsc::channel(REQUESTS_IN_FLIGHT_MAX);
    let mut answers = client.track_stream(ReceiverStream::new(receiver)).await?.into_inner();
    let sending = async {
        for (number, batch) in events.chunks(REQUEST_EVENTS).enumerate() {
            let request_number = number as u64;
            let request = TrackStreamRequest { request_number, events: batch.to_vec(), backfill: true };
            if requests.send(request).await.is_err() {
                break;
            }
        }
        drop(requests);
    };
    let receiving = async {
        let mut accepted = 0;
        while let Some(answer) = answers.next().await {
            let mut answer = answer?;
            if !answer.rejected.is_empty() {
                let Rejection { field, message, .. } = answer.rejected.swap_remove(0);
                return Err(Error::Rejected { field, message });
            }
            accepted += answer.accepted as usize;
        }
        Ok(accepted)
    };
    let ((), accepted) = tokio::join!(sending, receiving);
    let accepted: usize = accepted?;
    if accepted != events.len() {
        return Err(Error::Unacknowledged { accepted, sent: events.len() });
    }
    Ok(())
}

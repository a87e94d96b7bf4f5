//! The way of rows to a server: events as a stream with several requests under way, items in batches. In come rows, out goes
//! what the server answered to each. What has no answer when the stream ends counts as not sent.

use super::report::Report;
use crate::client::Line;
use crate::client::{REQUEST_EVENTS, REQUESTS_UNDER_WAY};
use anyhow::{Context, Result, bail};
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{
    Event, Item, Rejection, TrackStreamRequest, TrackStreamResponse, UpsertItemsRequest,
};
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// A stream to a server.
pub(super) struct Sender {
    client: IngestServiceClient<Line>,
    requests: mpsc::Sender<TrackStreamRequest>,
    answers: Streaming<TrackStreamResponse>,
    events: Vec<Event>,
    items: Vec<Item>,
    next_number: u64,
    /// Events of the requests that have no answer yet, oldest first.
    under_way: VecDeque<usize>,
}

impl Sender {
    pub(super) async fn open(channel: Line) -> Result<Self> {
        let mut client = IngestServiceClient::new(channel);
        let (requests, receiver) = mpsc::channel(REQUESTS_UNDER_WAY);
        let answers = client.track_stream(ReceiverStream::new(receiver)).await?.into_inner();
        let (events, items, under_way) = (Vec::new(), Vec::new(), VecDeque::new());
        Ok(Self { client, requests, answers, events, items, next_number: 0, under_way })
    }

    pub(super) async fn event(&mut self, event: Event, report: &mut Report) -> Result<()> {
        self.events.push(event);
        if self.events.len() == REQUEST_EVENTS { self.send_events(report).await } else { Ok(()) }
    }

    pub(super) async fn item(&mut self, item: Item, report: &mut Report) -> Result<()> {
        self.items.push(item);
        if self.items.len() == REQUEST_EVENTS { self.send_items(report).await } else { Ok(()) }
    }

    /// Sends what waits and takes every answer.
    pub(super) async fn finish(mut self, report: &mut Report) -> Result<()> {
        self.send_items(report).await?;
        self.send_events(report).await?;
        while !self.under_way.is_empty() {
            self.answer(report).await?;
        }
        Ok(())
    }

    async fn send_events(&mut self, report: &mut Report) -> Result<()> {
        let events = std::mem::take(&mut self.events);
        if events.is_empty() {
            return Ok(());
        }
        if self.under_way.len() == REQUESTS_UNDER_WAY {
            self.answer(report).await?;
        }
        self.under_way.push_back(events.len());
        let request = TrackStreamRequest { request_number: self.next_number, events, backfill: true };
        self.next_number += 1;
        if self.requests.send(request).await.is_err() {
            // The stream has ended: its last answer says why.
            loop {
                self.answer(report).await?;
            }
        }
        Ok(())
    }

    async fn answer(&mut self, report: &mut Report) -> Result<()> {
        let answer = self.answers.message().await.map_err(|status| refused(&status))?;
        let answer = answer.context("the server ended the stream")?;
        if self.under_way.pop_front().is_none() {
            bail!("the server answered what was not asked");
        }
        report.accepted += u64::from(answer.accepted);
        note(report, answer.rejected);
        Ok(())
    }

    async fn send_items(&mut self, report: &mut Report) -> Result<()> {
        let items = std::mem::take(&mut self.items);
        if items.is_empty() {
            return Ok(());
        }
        let answer = self
            .client
            .upsert_items(UpsertItemsRequest { items })
            .await
            .map_err(|status| refused(&status))?
            .into_inner();
        report.accepted += u64::from(answer.accepted);
        note(report, answer.rejected);
        Ok(())
    }
}

fn refused(status: &tonic::Status) -> anyhow::Error {
    anyhow::anyhow!("the server answered {:?}: {}", status.code(), status.message())
}

fn note(report: &mut Report, rejected: Vec<Rejection>) {
    for rejection in rejected {
        let reason = rejection.reason();
        report.reject(reason, || format!("{} {}", rejection.field, rejection.message));
    }
}

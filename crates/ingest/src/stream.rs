//! Stream of batches: each one is enqueued as it arrives, several may be in flight, and responses keep the order of requests.
//!
//! ```text
//! requests ──> enqueue (in order; slows down with the store) ──> [stream_requests] ──> finish (in order) ──> responses
//! ```
//!
//! A client that reads no responses fills the queue in between, and then no further request is read from it.

use crate::append::Backpressure;
use crate::context::IngestContext;
use crate::error::Error;
use crate::rate;
use crate::track::{self, PendingBatch, BatchOptions};
use futures::StreamExt;
use futures::stream::BoxStream;
use portrait_profile::TraceContext;
use portrait_proto::status::normalized;
use portrait_proto::v1::{TrackStreamRequest, TrackStreamResponse};
use portrait_runtime::telemetry::trace::{Span, SpanKind};
use portrait_runtime::tokens::Caller;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// Responses of a stream.
pub(crate) type TrackResponses = BoxStream<'static, Result<TrackStreamResponse, Status>>;

/// Enqueued request with the span until its response, or the status that ends the stream.
type Enqueued = Result<(u64, PendingBatch, Span), Status>;

/// Starts to read `requests` and returns their responses.
pub(crate) fn begin(
    shared: &Arc<IngestContext>,
    caller: Option<Arc<Caller>>,
    requests: Streaming<TrackStreamRequest>,
) -> TrackResponses {
    let (sender, receiver) = mpsc::channel(shared.stream_requests);
    shared.streams.spawn(read(Arc::clone(shared), caller, requests, sender));
    let shared = Arc::clone(shared);
    let answers = ReceiverStream::new(receiver).then(move |put| respond(Arc::clone(&shared), put));
    // A status ends a gRPC stream, so nothing may follow the first error.
    let ended = |ended: &mut bool, answer: Result<_, _>| {
        let last = std::mem::replace(ended, answer.is_err());
        futures::future::ready((!last).then_some(answer))
    };
    answers.scan(false, ended).boxed()
}

async fn read(
    shared: Arc<IngestContext>,
    caller: Option<Arc<Caller>>,
    mut requests: Streaming<TrackStreamRequest>,
    sender: mpsc::Sender<Enqueued>,
) {
            // In this order: a client that is gone needs no final status, and a drain comes before further requests.
    loop {
        let request = tokio::select! {
            biased;
            () = sender.closed() => return,
            () = shared.closing.cancelled() => Err(Error::ShuttingDown.into()),
            request = requests.message() => request.map_err(normalized),
        };
        let put = match request {
            Ok(None) => return,
            Ok(Some(request)) => enqueue(&shared, caller.as_ref(), request).await,
            Err(status) => Err(status),
        };
        let over = put.is_err();
        if sender.send(put).await.is_err() || over {
            return;
        }
    }
}

async fn enqueue(shared: &Arc<IngestContext>, caller: Option<&Arc<Caller>>, request: TrackStreamRequest) -> Enqueued {
    rate::wait(caller, request.events.len(), shared.stream_wait_max).await?;
    // A stream may last for days, so each of its requests is a trace of its own.
    let mut span = shared.tracer.root_span(SpanKind::Server, "portrait.v1.IngestService/TrackStream request");
    span.note("events", request.events.len() as i64);
    let trace = span.bytes().map(TraceContext);
    let terms = BatchOptions { backfill: request.backfill, backpressure: Backpressure::Wait(shared.stream_wait_max), trace };
    let check = |event, now| shared.validator.event(event, now);
    let pending = track::enqueue(shared, track::EVENTS, request.events, terms, check).await?;
    Ok((request.request_number, pending, span))
}

async fn respond(shared: Arc<IngestContext>, put: Enqueued) -> Result<TrackStreamResponse, Status> {
    let (request_number, pending, _span) = put?;
    let outcome = pending.finish(&shared).await?;
    Ok(TrackStreamResponse {
        request_number,
        accepted: outcome.accepted,
        rejected: outcome.rejected,
        consistency_token: outcome.token.encode(),
    })
}

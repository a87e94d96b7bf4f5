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
use crate::track::{self, BatchOptions, PendingBatch};
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
    let responses =
        ReceiverStream::new(receiver).then(move |enqueued| respond(Arc::clone(&shared), enqueued));
    // A status ends a gRPC stream, so nothing may follow the first error.
    let until_error = responses.scan(false, |has_failed, response| {
        let is_over = std::mem::replace(has_failed, response.is_err());
        futures::future::ready((!is_over).then_some(response))
    });
    until_error.boxed()
}

/// Reads and enqueues requests until the client ends the stream, an error occurs, or the service drains.
async fn read(
    shared: Arc<IngestContext>,
    caller: Option<Arc<Caller>>,
    mut requests: Streaming<TrackStreamRequest>,
    sender: mpsc::Sender<Enqueued>,
) {
    loop {
        let request = tokio::select! {
            // In this order: a client that is gone needs no final status, and a drain precedes further requests.
            biased;
            () = sender.closed() => return,
            () = shared.closing.cancelled() => Err(Error::ShuttingDown.into()),
            request = requests.message() => request.map_err(normalized),
        };
        let enqueued = match request {
            Ok(None) => return,
            Ok(Some(request)) => enqueue(&shared, caller.as_ref(), request).await,
            Err(status) => Err(status),
        };
        let is_last = enqueued.is_err();
        // Waits while `stream_requests` responses are not taken: a slow reader stops its own sender.
        if sender.send(enqueued).await.is_err() || is_last {
            return;
        }
    }
}

/// Enqueues the events of a request. Waits for the caller's rate, for memory and for a lagging partition.
async fn enqueue(
    shared: &Arc<IngestContext>,
    caller: Option<&Arc<Caller>>,
    request: TrackStreamRequest,
) -> Enqueued {
    rate::wait(caller, request.events.len(), shared.stream_wait_max).await?;
    // A stream may last for days, so each of its requests is a trace of its own.
    let mut span = shared.tracer.root_span(SpanKind::Server, "portrait.v1.IngestService/TrackStream request");
    span.note("events", request.events.len() as i64);
    let trace = span.bytes().map(TraceContext);
    let backpressure = Backpressure::Wait(shared.stream_wait_max);
    let caller = caller.cloned();
    let options = BatchOptions { caller, backfill: request.backfill, backpressure, trace };
    let pending = track::enqueue(shared, track::EVENTS, request.events, options, |event, now, losses| {
        shared.validator.event(event, now, losses)
    })
    .await?;
    Ok((request.request_number, pending, span))
}

/// Waits for the appends of a request and builds its response.
async fn respond(shared: Arc<IngestContext>, enqueued: Enqueued) -> Result<TrackStreamResponse, Status> {
    let (request_number, pending, _span) = enqueued?;
    let result = pending.finish(&shared).await?;
    Ok(TrackStreamResponse {
        request_number,
        accepted: result.accepted,
        rejected: result.rejected,
        consistency_token: result.token.encode(shared.store.layout().pseudonym_key),
    })
}

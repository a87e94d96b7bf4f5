//! A stream of batches: each is put in its turn as it comes, several may be under way, and they are answered in order.
//!
//! ```text
//! requests ──> put (in order; slows down with the store) ──> [stream_requests] ──> outcome (in order) ──> answers
//! ```
//!
//! A reader that takes no answers fills the queue between, and then nothing more is read from it.

use crate::append::Patience;
use crate::context::Shared;
use crate::error::Error;
use crate::rate;
use crate::track::{self, Pending, Terms};
use futures::StreamExt;
use futures::stream::BoxStream;
use portrait_profile::TraceContext;
use portrait_proto::status::clarified;
use portrait_proto::v1::{TrackStreamRequest, TrackStreamResponse};
use portrait_runtime::telemetry::trace::{Span, SpanKind};
use portrait_runtime::tokens::Caller;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// The answers of a stream.
pub(crate) type Answers = BoxStream<'static, Result<TrackStreamResponse, Status>>;

/// A request that was put, and the span until its answer; or why the stream ends.
type Put = Result<(u64, Pending, Span), Status>;

/// Begins to read `requests`.
pub(crate) fn begin(
    shared: &Arc<Shared>,
    caller: Option<Arc<Caller>>,
    requests: Streaming<TrackStreamRequest>,
) -> Answers {
    let (sender, receiver) = mpsc::channel(shared.stream_requests);
    shared.streams.spawn(read(Arc::clone(shared), caller, requests, sender));
    let shared = Arc::clone(shared);
    let answers = ReceiverStream::new(receiver).then(move |put| answered(Arc::clone(&shared), put));
    // After a status there is nothing more to say.
    let ended = |ended: &mut bool, answer: Result<_, _>| {
        let last = std::mem::replace(ended, answer.is_err());
        futures::future::ready((!last).then_some(answer))
    };
    answers.scan(false, ended).boxed()
}

async fn read(
    shared: Arc<Shared>,
    caller: Option<Arc<Caller>>,
    mut requests: Streaming<TrackStreamRequest>,
    sender: mpsc::Sender<Put>,
) {
    loop {
        let request = tokio::select! {
            biased;
            () = sender.closed() => return,
            () = shared.closing.cancelled() => Err(Error::ShuttingDown.into()),
            request = requests.message() => request.map_err(clarified),
        };
        let put = match request {
            Ok(None) => return,
            Ok(Some(request)) => put(&shared, caller.as_ref(), request).await,
            Err(status) => Err(status),
        };
        let over = put.is_err();
        if sender.send(put).await.is_err() || over {
            return;
        }
    }
}

async fn put(shared: &Arc<Shared>, caller: Option<&Arc<Caller>>, request: TrackStreamRequest) -> Put {
    rate::wait(caller, request.events.len(), shared.stream_patience).await?;
    // A stream may last for days: each of its requests is followed for itself.
    let mut span = shared.tracer.first(SpanKind::Server, "portrait.v1.IngestService/TrackStream request");
    span.note("events", request.events.len() as i64);
    let trace = span.bytes().map(TraceContext);
    let terms = Terms { backfill: request.backfill, patience: Patience::For(shared.stream_patience), trace };
    let check = |event, now| shared.rules.event(event, now);
    let pending = track::put(shared, track::EVENTS, request.events, terms, check).await?;
    Ok((request.request_number, pending, span))
}

async fn answered(shared: Arc<Shared>, put: Put) -> Result<TrackStreamResponse, Status> {
    let (request_number, pending, _span) = put?;
    let outcome = pending.outcome(&shared).await?;
    Ok(TrackStreamResponse {
        request_number,
        accepted: outcome.accepted,
        rejected: outcome.rejected,
        consistency_token: outcome.token.encode(),
    })
}

//! gRPC handlers: validate, convert, call, convert. They hold no logic.

use crate::append::Backpressure;
use crate::context::IngestContext;
use crate::erase;
use crate::rate;
use crate::stream::{self, TrackResponses};
use crate::track::{self, BatchOptions, BatchResult};
use portrait_profile::{PseudonymKey, TraceContext};
use portrait_proto::v1;
use portrait_proto::v1::ingest_service_server::IngestService;
use portrait_runtime::telemetry::trace;
use portrait_runtime::tokens::Caller;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// Returns the options of a unary call: it never waits for memory or a lagging partition, since the caller can retry.
fn unary_options<T>(request: &Request<T>) -> BatchOptions {
    let trace = trace::of_call(request.extensions()).map(TraceContext);
    let caller = Caller::of(request.extensions());
    BatchOptions { caller, backfill: false, backpressure: Backpressure::Reject, trace }
}

/// gRPC implementation of `IngestService`, shared by all connections.
pub(crate) struct Grpc {
    pub(crate) shared: Arc<IngestContext>,
}

impl Grpc {
    /// Returns the key that seals tokens and receipts.
    fn key(&self) -> PseudonymKey {
        self.shared.store.layout().pseudonym_key
    }
}

#[tonic::async_trait]
impl IngestService for Grpc {
    type TrackStreamStream = TrackResponses;

    async fn track(&self, request: Request<v1::TrackRequest>) -> Result<Response<v1::TrackResponse>, Status> {
        // Before the message is taken out of the request: the trace context is in the request's extensions.
        let options = unary_options(&request);
        let v1::TrackRequest { events, backfill } = rate::take(request, |request| request.events.len())?;
        let shared = &self.shared;
        let options = BatchOptions { backfill, ..options };
        let result = track::enqueue(shared, track::EVENTS, events, options, |event, now, losses| {
            shared.validator.event(event, now, losses)
        })
        .await?
        .finish(shared)
        .await?;
        let consistency_token = result.token.encode(self.key());
        let BatchResult { accepted, rejected, .. } = result;
        Ok(Response::new(v1::TrackResponse { accepted, rejected, consistency_token }))
    }

    async fn track_stream(
        &self,
        request: Request<Streaming<v1::TrackStreamRequest>>,
    ) -> Result<Response<TrackResponses>, Status> {
        let caller = Caller::of(request.extensions());
        Ok(Response::new(stream::begin(&self.shared, caller, request.into_inner())))
    }

    async fn identify(
        &self,
        request: Request<v1::IdentifyRequest>,
    ) -> Result<Response<v1::IdentifyResponse>, Status> {
        let options = unary_options(&request);
        let updates = rate::take(request, |request| request.updates.len())?.updates;
        let shared = &self.shared;
        let result = track::enqueue(shared, track::UPDATES, updates, options, |update, now, losses| {
            shared.validator.traits(update, now, losses)
        })
        .await?
        .finish(shared)
        .await?;
        let consistency_token = result.token.encode(self.key());
        let BatchResult { accepted, rejected, .. } = result;
        Ok(Response::new(v1::IdentifyResponse { accepted, rejected, consistency_token }))
    }

    async fn relate(
        &self,
        request: Request<v1::RelateRequest>,
    ) -> Result<Response<v1::RelateResponse>, Status> {
        let options = unary_options(&request);
        let relations = rate::take(request, |request| request.relations.len())?.relations;
        let shared = &self.shared;
        let result = track::enqueue(shared, track::RELATIONS, relations, options, |relation, now, _| {
            shared.validator.relation(&relation, now)
        })
        .await?
        .finish(shared)
        .await?;
        let consistency_token = result.token.encode(self.key());
        let BatchResult { accepted, rejected, .. } = result;
        Ok(Response::new(v1::RelateResponse { accepted, rejected, consistency_token }))
    }

    async fn record_outcomes(
        &self,
        request: Request<v1::RecordOutcomesRequest>,
    ) -> Result<Response<v1::RecordOutcomesResponse>, Status> {
        let options = unary_options(&request);
        let outcomes = rate::take(request, |request| request.outcomes.len())?.outcomes;
        let shared = &self.shared;
        let result = track::enqueue(shared, track::OUTCOMES, outcomes, options, |outcome, now, _| {
            shared.validator.outcome(&outcome, now)
        })
        .await?
        .finish(shared)
        .await?;
        let consistency_token = result.token.encode(self.key());
        let BatchResult { accepted, rejected, .. } = result;
        Ok(Response::new(v1::RecordOutcomesResponse { accepted, rejected, consistency_token }))
    }

    async fn upsert_items(
        &self,
        request: Request<v1::UpsertItemsRequest>,
    ) -> Result<Response<v1::UpsertItemsResponse>, Status> {
        let caller = Caller::of(request.extensions());
        let items = rate::take(request, |request| request.items.len())?.items;
        let result = track::upsert(&self.shared, items, caller.as_deref()).await?;
        Ok(Response::new(v1::UpsertItemsResponse { accepted: result.accepted, rejected: result.rejected }))
    }

    async fn erase(&self, request: Request<v1::EraseRequest>) -> Result<Response<v1::EraseResponse>, Status> {
        let trace = unary_options(&request).trace;
        // A record in the log of every partition.
        let appends = usize::from(self.shared.store.layout().partitions.get());
        Caller::of(request.extensions()).inspect(|caller| caller.charge_calls(appends));
        let logged = erase::erase(&self.shared, &request.into_inner(), trace).await?;
        let consistency_token = logged.log_positions.encode(self.key());
        Ok(Response::new(v1::EraseResponse { receipt: logged.receipt.encode(self.key()), consistency_token }))
    }

    async fn get_erasure(
        &self,
        request: Request<v1::GetErasureRequest>,
    ) -> Result<Response<v1::GetErasureResponse>, Status> {
        Ok(Response::new(erase::state(&self.shared, &request.into_inner().receipt).await?))
    }
}

//! gRPC handlers: validate, convert, call, convert. They hold no logic.

use crate::append::Backpressure;
use crate::context::IngestContext;
use crate::erase;
use crate::rate;
use crate::stream::{self, TrackResponses};
use crate::track::{self, BatchResult, BatchOptions};
use portrait_profile::TraceContext;
use portrait_proto::v1;
use portrait_proto::v1::ingest_service_server::IngestService;
use portrait_runtime::telemetry::trace;
use portrait_runtime::tokens::Caller;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// Returns the options of a unary call: it never waits for memory or a lagging partition, since the caller can retry.
fn at_once<T>(request: &Request<T>) -> BatchOptions {
    let trace = trace::of_call(request.extensions()).map(TraceContext);
    BatchOptions { backfill: false, backpressure: Backpressure::Reject, trace }
}

/// Implementation of `IngestService`.
pub(crate) struct Grpc {
    pub(crate) shared: Arc<IngestContext>,
}

#[tonic::async_trait]
impl IngestService for Grpc {
    type TrackStreamStream = TrackResponses;

    async fn track(&self, request: Request<v1::TrackRequest>) -> Result<Response<v1::TrackResponse>, Status> {
        let terms = at_once(&request);
        let v1::TrackRequest { events, backfill } = rate::within(request, |request| request.events.len())?;
        let shared = &self.shared;
        let check = |event, now| shared.validator.event(event, now);
        let terms = BatchOptions { backfill, ..terms };
        let outcome = track::enqueue(shared, track::EVENTS, events, terms, check).await?.finish(shared).await?;
        let consistency_token = outcome.token.encode();
        let BatchResult { accepted, rejected, .. } = outcome;
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
        let terms = at_once(&request);
        let updates = rate::within(request, |request| request.updates.len())?.updates;
        let shared = &self.shared;
        let check = |update, now| shared.validator.traits(update, now);
        let outcome =
            track::enqueue(shared, track::UPDATES, updates, terms, check).await?.finish(shared).await?;
        let consistency_token = outcome.token.encode();
        let BatchResult { accepted, rejected, .. } = outcome;
        Ok(Response::new(v1::IdentifyResponse { accepted, rejected, consistency_token }))
    }

    async fn relate(
        &self,
        request: Request<v1::RelateRequest>,
    ) -> Result<Response<v1::RelateResponse>, Status> {
        let terms = at_once(&request);
        let relations = rate::within(request, |request| request.relations.len())?.relations;
        let shared = &self.shared;
        let check = |relation, now| shared.validator.relation(&relation, now);
        let outcome =
            track::enqueue(shared, track::RELATIONS, relations, terms, check).await?.finish(shared).await?;
        let consistency_token = outcome.token.encode();
        let BatchResult { accepted, rejected, .. } = outcome;
        Ok(Response::new(v1::RelateResponse { accepted, rejected, consistency_token }))
    }

    async fn record_outcomes(
        &self,
        request: Request<v1::RecordOutcomesRequest>,
    ) -> Result<Response<v1::RecordOutcomesResponse>, Status> {
        let terms = at_once(&request);
        let outcomes = rate::within(request, |request| request.outcomes.len())?.outcomes;
        let shared = &self.shared;
        let check = |outcome, now| shared.validator.outcome(&outcome, now);
        let outcome =
            track::enqueue(shared, track::OUTCOMES, outcomes, terms, check).await?.finish(shared).await?;
        let consistency_token = outcome.token.encode();
        let BatchResult { accepted, rejected, .. } = outcome;
        Ok(Response::new(v1::RecordOutcomesResponse { accepted, rejected, consistency_token }))
    }

    async fn upsert_items(
        &self,
        request: Request<v1::UpsertItemsRequest>,
    ) -> Result<Response<v1::UpsertItemsResponse>, Status> {
        let items = rate::within(request, |request| request.items.len())?.items;
        let outcome = track::upsert(&self.shared, items).await?;
        Ok(Response::new(v1::UpsertItemsResponse { accepted: outcome.accepted, rejected: outcome.rejected }))
    }

    async fn erase(&self, request: Request<v1::EraseRequest>) -> Result<Response<v1::EraseResponse>, Status> {
        let trace = at_once(&request).trace;
        let receipt = erase::erase(&self.shared, &request.into_inner(), trace).await?;
        let (receipt, consistency_token) = (receipt.encode(), receipt.log_positions.encode());
        Ok(Response::new(v1::EraseResponse { receipt, consistency_token }))
    }

    async fn get_erasure(
        &self,
        request: Request<v1::GetErasureRequest>,
    ) -> Result<Response<v1::GetErasureResponse>, Status> {
        Ok(Response::new(erase::state(&self.shared, &request.into_inner().receipt).await?))
    }
}

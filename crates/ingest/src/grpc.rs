//! The edge of this room: validates, converts, calls, converts. Nothing is decided here.

use crate::append::Patience;
use crate::context::Shared;
use crate::erase;
use crate::rate;
use crate::stream::{self, Answers};
use crate::track::{self, Outcome, Terms};
use portrait_profile::TraceContext;
use portrait_proto::v1;
use portrait_proto::v1::ingest_service_server::IngestService;
use portrait_runtime::telemetry::trace;
use portrait_runtime::tokens::Caller;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// What holds for a call that is answered once.
fn at_once<T>(request: &Request<T>) -> Terms {
    let trace = trace::of_call(request.extensions()).map(TraceContext);
    Terms { backfill: false, patience: Patience::None, trace }
}

/// The service as tonic calls it.
pub(crate) struct Grpc {
    /// What the streams share too.
    pub(crate) shared: Arc<Shared>,
}

#[tonic::async_trait]
impl IngestService for Grpc {
    type TrackStreamStream = Answers;

    async fn track(&self, request: Request<v1::TrackRequest>) -> Result<Response<v1::TrackResponse>, Status> {
        let terms = at_once(&request);
        let v1::TrackRequest { events, backfill } = rate::within(request, |request| request.events.len())?;
        let shared = &self.shared;
        let check = |event, now| shared.rules.event(event, now);
        let terms = Terms { backfill, ..terms };
        let outcome = track::put(shared, track::EVENTS, events, terms, check).await?.outcome(shared).await?;
        let consistency_token = outcome.token.encode();
        let Outcome { accepted, rejected, .. } = outcome;
        Ok(Response::new(v1::TrackResponse { accepted, rejected, consistency_token }))
    }

    async fn track_stream(
        &self,
        request: Request<Streaming<v1::TrackStreamRequest>>,
    ) -> Result<Response<Answers>, Status> {
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
        let check = |update, now| shared.rules.traits(update, now);
        let outcome =
            track::put(shared, track::UPDATES, updates, terms, check).await?.outcome(shared).await?;
        let consistency_token = outcome.token.encode();
        let Outcome { accepted, rejected, .. } = outcome;
        Ok(Response::new(v1::IdentifyResponse { accepted, rejected, consistency_token }))
    }

    async fn relate(
        &self,
        request: Request<v1::RelateRequest>,
    ) -> Result<Response<v1::RelateResponse>, Status> {
        let terms = at_once(&request);
        let relations = rate::within(request, |request| request.relations.len())?.relations;
        let shared = &self.shared;
        let check = |relation, now| shared.rules.relation(&relation, now);
        let outcome =
            track::put(shared, track::RELATIONS, relations, terms, check).await?.outcome(shared).await?;
        let consistency_token = outcome.token.encode();
        let Outcome { accepted, rejected, .. } = outcome;
        Ok(Response::new(v1::RelateResponse { accepted, rejected, consistency_token }))
    }

    async fn record_outcomes(
        &self,
        request: Request<v1::RecordOutcomesRequest>,
    ) -> Result<Response<v1::RecordOutcomesResponse>, Status> {
        let terms = at_once(&request);
        let outcomes = rate::within(request, |request| request.outcomes.len())?.outcomes;
        let shared = &self.shared;
        let check = |outcome, now| shared.rules.outcome(&outcome, now);
        let outcome =
            track::put(shared, track::OUTCOMES, outcomes, terms, check).await?.outcome(shared).await?;
        let consistency_token = outcome.token.encode();
        let Outcome { accepted, rejected, .. } = outcome;
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
        let (receipt, consistency_token) = (receipt.encode(), receipt.places.encode());
        Ok(Response::new(v1::EraseResponse { receipt, consistency_token }))
    }

    async fn get_erasure(
        &self,
        request: Request<v1::GetErasureRequest>,
    ) -> Result<Response<v1::GetErasureResponse>, Status> {
        Ok(Response::new(erase::state(&self.shared, &request.into_inner().receipt).await?))
    }
}

//! gRPC edge of the query service: validate, to domain, call, to wire. It makes no decisions.

mod request;

use crate::context::QueryContext;
use crate::next_action;
use crate::read::{self, ReadOptions};
use crate::recommend;
use crate::score;
use crate::segments;
use crate::similar;
use crate::watch::{self, ResponseStream};
use portrait_proto::request as proto_request;
use portrait_proto::request::{Shard, ValidationError};
use portrait_proto::v1;
use portrait_proto::v1::query_service_server::QueryService;
use portrait_runtime::tokens::{Caller, Paced};
use std::sync::Arc;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

/// Implementation of the generated service trait.
pub(crate) struct Grpc {
    /// State shared with the tails.
    pub(crate) shared: Arc<QueryContext>,
}

#[tonic::async_trait]
impl QueryService for Grpc {
    type WatchProfileChangesStream = ResponseStream;
    type ExportSegmentStream = Paced<Result<v1::ExportSegmentResponse, Status>>;

    async fn get_profile(
        &self,
        request: Request<v1::GetProfileRequest>,
    ) -> Result<Response<v1::GetProfileResponse>, Status> {
        let (caller, _, request) = request.into_parts();
        let user_id = proto_request::user_id("user_id", &request.user_id)?;
        let options = self.read_options(&request.read_after, request.read_at, &caller)?;
        let profile = read::read_one(&self.shared, user_id, &options).await?;
        Ok(Response::new(v1::GetProfileResponse { profile: Some(self.shared.profile_to_wire(profile)) }))
    }

    async fn batch_get_profiles(
        &self,
        request: Request<v1::BatchGetProfilesRequest>,
    ) -> Result<Response<v1::BatchGetProfilesResponse>, Status> {
        let (caller, extensions, request) = request.into_parts();
        proto_request::batch("user_ids", request.user_ids.len())?;
        let user_ids = proto_request::user_ids("user_ids", &request.user_ids)?;
        Caller::of(&extensions).inspect(|caller| caller.charge_users(user_ids.len()));
        let options = self.read_options(&request.read_after, request.read_at, &caller)?;
        let batch = read::read_some(&self.shared, &user_ids, &options).await?;
        let profiles = batch.found.into_iter().map(|profile| self.shared.profile_to_wire(profile)).collect();
        let missing_user_ids = batch.missing.iter().map(ToString::to_string).collect();
        Ok(Response::new(v1::BatchGetProfilesResponse { profiles, missing_user_ids }))
    }

    async fn watch_profile_changes(
        &self,
        request: Request<v1::WatchProfileChangesRequest>,
    ) -> Result<Response<ResponseStream>, Status> {
        let caller = Caller::of(request.extensions());
        let request = request.into_inner();
        // The shard first: start and filter are checked against it.
        let shard = Shard::from_wire(request.shard_index, request.shard_count)?;
        let start = request::watch_start(&request, shard, self.shared.store.layout())?;
        let filter = request::subscription_filter(shard, &request)?;
        Ok(Response::new(watch::begin(&self.shared, caller.as_deref(), filter, start).await?))
    }

    async fn list_segments(
        &self,
        _: Request<v1::ListSegmentsRequest>,
    ) -> Result<Response<v1::ListSegmentsResponse>, Status> {
        Ok(Response::new(segments::list(&self.shared).await?))
    }

    async fn get_segment(
        &self,
        request: Request<v1::GetSegmentRequest>,
    ) -> Result<Response<v1::GetSegmentResponse>, Status> {
        let segment_id = request::segment_id("segment_id", &request.into_inner().segment_id)?;
        Ok(Response::new(segments::one(&self.shared, segment_id).await?))
    }

    async fn explain_segment(
        &self,
        request: Request<v1::ExplainSegmentRequest>,
    ) -> Result<Response<v1::ExplainSegmentResponse>, Status> {
        let (caller, _, request) = request.into_parts();
        let user_id = proto_request::user_id("user_id", &request.user_id)?;
        let options = self.read_options(&request.read_after, request.read_at, &caller)?;
        Ok(Response::new(segments::explain(&self.shared, user_id, &options).await?))
    }

    async fn recommend(
        &self,
        request: Request<v1::RecommendRequest>,
    ) -> Result<Response<v1::RecommendResponse>, Status> {
        let (caller, _, request) = request.into_parts();
        let user_id = proto_request::user_id("user_id", &request.user_id)?;
        let options = self.read_options(&request.read_after, None, &caller)?;
        let query = request::recommend_query(&request)?;
        Ok(Response::new(recommend::recommend(&self.shared, user_id, &query, &options).await?))
    }

    async fn export_segment(
        &self,
        request: Request<v1::ExportSegmentRequest>,
    ) -> Result<Response<Self::ExportSegmentStream>, Status> {
        let caller = Caller::of(request.extensions());
        let segment_id = request::segment_id("segment_id", &request.into_inner().segment_id)?;
        let pages = segments::export(&self.shared, segment_id).await?;
        let users = |page: &Result<v1::ExportSegmentResponse, Status>| {
            page.as_ref().map_or(0, |page| page.user_ids.len())
        };
        Ok(Response::new(Caller::pace(caller, pages, users)))
    }

    async fn predict_next_action(
        &self,
        request: Request<v1::PredictNextActionRequest>,
    ) -> Result<Response<v1::PredictNextActionResponse>, Status> {
        let (caller, _, request) = request.into_parts();
        let user_id = proto_request::user_id("user_id", &request.user_id)?;
        let options = self.read_options(&request.read_after, request.read_at, &caller)?;
        Ok(Response::new(next_action::predict(&self.shared, user_id, &options).await?))
    }

    async fn score(&self, request: Request<v1::ScoreRequest>) -> Result<Response<v1::ScoreResponse>, Status> {
        let (caller, _, request) = request.into_parts();
        let user_id = proto_request::user_id("user_id", &request.user_id)?;
        let target = request::target(request.target)?;
        let reasons = request::count("reasons", request.reasons, request::REASONS_DEFAULT)?;
        let options = self.read_options(&request.read_after, request.read_at, &caller)?;
        Ok(Response::new(score::score(&self.shared, user_id, target, reasons, &options).await?))
    }

    async fn find_similar_users(
        &self,
        request: Request<v1::FindSimilarUsersRequest>,
    ) -> Result<Response<v1::FindSimilarUsersResponse>, Status> {
        let (caller, _, request) = request.into_parts();
        let user_id = proto_request::user_id("user_id", &request.user_id)?;
        let count = request::count("count", request.count, request::SIMILAR_DEFAULT)?;
        let options = self.read_options(&request.read_after, None, &caller)?;
        Ok(Response::new(similar::find(&self.shared, user_id, count, &options).await?))
    }
}

impl Grpc {
    fn read_options(
        &self,
        read_after: &[u8],
        read_at: Option<prost_types::Timestamp>,
        caller: &MetadataMap,
    ) -> Result<ReadOptions, ValidationError> {
        request::read_options(&self.shared, read_after, read_at, caller)
    }
}

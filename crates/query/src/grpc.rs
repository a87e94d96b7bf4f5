//! gRPC edge of the query service: validate, to domain, call, to wire. It makes no decisions.

mod asked;

use crate::context::Shared;
use crate::next_action;
use crate::read::{self, Terms};
use crate::recommend;
use crate::score;
use crate::segments;
use crate::similar;
use crate::watch::{self, Answers};
use portrait_proto::request::{self, ValidationError, Shard};
use portrait_proto::v1;
use portrait_proto::v1::query_service_server::QueryService;
use std::sync::Arc;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

/// Implementation of the generated service trait.
pub(crate) struct Grpc {
    /// State shared with the tails.
    pub(crate) shared: Arc<Shared>,
}

#[tonic::async_trait]
impl QueryService for Grpc {
    type WatchProfileChangesStream = Answers;
    type ExportSegmentStream = segments::Pages;

    async fn get_profile(
        &self,
        request: Request<v1::GetProfileRequest>,
    ) -> Result<Response<v1::GetProfileResponse>, Status> {
        let (caller, _, request) = request.into_parts();
        let user_id = request::user_id("user_id", &request.user_id)?;
        let terms = self.terms(&request.read_after, request.read_at, &caller)?;
        let profile = read::one(&self.shared, user_id, &terms).await?;
        Ok(Response::new(v1::GetProfileResponse { profile: Some(self.shared.told(profile)) }))
    }

    async fn batch_get_profiles(
        &self,
        request: Request<v1::BatchGetProfilesRequest>,
    ) -> Result<Response<v1::BatchGetProfilesResponse>, Status> {
        let (caller, _, request) = request.into_parts();
        request::batch("user_ids", request.user_ids.len())?;
        let user_ids = request::user_ids("user_ids", &request.user_ids)?;
        let terms = self.terms(&request.read_after, request.read_at, &caller)?;
        let batch = read::some(&self.shared, &user_ids, &terms).await?;
        let profiles = batch.found.into_iter().map(|profile| self.shared.told(profile)).collect();
        let missing_user_ids = batch.missing.iter().map(ToString::to_string).collect();
        Ok(Response::new(v1::BatchGetProfilesResponse { profiles, missing_user_ids }))
    }

    async fn watch_profile_changes(
        &self,
        request: Request<v1::WatchProfileChangesRequest>,
    ) -> Result<Response<Answers>, Status> {
        let request = request.into_inner();
        let shard = Shard::from_wire(request.shard_index, request.shard_count)?;
        let start = asked::start(&request, shard, self.shared.store.layout().partitions)?;
        let wish = asked::subscription(shard, &request)?;
        Ok(Response::new(watch::begin(&self.shared, wish, start).await?))
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
        let segment_id = asked::segment_id("segment_id", &request.into_inner().segment_id)?;
        Ok(Response::new(segments::one(&self.shared, segment_id).await?))
    }

    async fn explain_segment(
        &self,
        request: Request<v1::ExplainSegmentRequest>,
    ) -> Result<Response<v1::ExplainSegmentResponse>, Status> {
        let (caller, _, request) = request.into_parts();
        let user_id = request::user_id("user_id", &request.user_id)?;
        let terms = self.terms(&request.read_after, request.read_at, &caller)?;
        Ok(Response::new(segments::explain(&self.shared, user_id, &terms).await?))
    }

    async fn recommend(
        &self,
        request: Request<v1::RecommendRequest>,
    ) -> Result<Response<v1::RecommendResponse>, Status> {
        let (caller, _, request) = request.into_parts();
        let user_id = request::user_id("user_id", &request.user_id)?;
        let terms = self.terms(&request.read_after, None, &caller)?;
        let wish = asked::wish(request)?;
        Ok(Response::new(recommend::recommend(&self.shared, user_id, &wish, &terms).await?))
    }

    async fn export_segment(
        &self,
        request: Request<v1::ExportSegmentRequest>,
    ) -> Result<Response<Self::ExportSegmentStream>, Status> {
        let segment_id = asked::segment_id("segment_id", &request.into_inner().segment_id)?;
        Ok(Response::new(segments::export(&self.shared, segment_id).await?))
    }

    async fn predict_next_action(
        &self,
        request: Request<v1::PredictNextActionRequest>,
    ) -> Result<Response<v1::PredictNextActionResponse>, Status> {
        let (caller, _, request) = request.into_parts();
        let user_id = request::user_id("user_id", &request.user_id)?;
        let terms = self.terms(&request.read_after, request.read_at, &caller)?;
        Ok(Response::new(next_action::predict(&self.shared, user_id, &terms).await?))
    }

    async fn score(&self, request: Request<v1::ScoreRequest>) -> Result<Response<v1::ScoreResponse>, Status> {
        let (caller, _, request) = request.into_parts();
        let user_id = request::user_id("user_id", &request.user_id)?;
        let target = asked::target(request.target)?;
        let reasons = asked::count("reasons", request.reasons, asked::REASONS_USUAL)?;
        let terms = self.terms(&request.read_after, request.read_at, &caller)?;
        Ok(Response::new(score::score(&self.shared, user_id, target, reasons, &terms).await?))
    }

    async fn find_similar_users(
        &self,
        request: Request<v1::FindSimilarUsersRequest>,
    ) -> Result<Response<v1::FindSimilarUsersResponse>, Status> {
        let (caller, _, request) = request.into_parts();
        let user_id = request::user_id("user_id", &request.user_id)?;
        let count = asked::count("count", request.count, asked::SIMILAR_USUAL)?;
        let terms = self.terms(&request.read_after, None, &caller)?;
        Ok(Response::new(similar::find(&self.shared, user_id, count, &terms).await?))
    }
}

impl Grpc {
    fn terms(
        &self,
        read_after: &[u8],
        read_at: Option<prost_types::Timestamp>,
        caller: &MetadataMap,
    ) -> Result<Terms, ValidationError> {
        asked::terms(&self.shared.config, read_after, read_at, caller)
    }
}

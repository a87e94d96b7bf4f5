//! The edge of this room: validates, converts, calls, converts. Nothing is decided here.

mod asked;

use crate::error::Error;
use crate::read;
use crate::service::Shared;
use crate::watch::{self, Answers};
use portrait_proto::v1;
use portrait_proto::v1::query_service_server::QueryService;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service as tonic calls it.
pub(crate) struct Grpc {
    /// What the tails share too.
    pub(crate) shared: Arc<Shared>,
}

#[tonic::async_trait]
impl QueryService for Grpc {
    type WatchProfileChangesStream = Answers;

    async fn get_profile(
        &self,
        request: Request<v1::GetProfileRequest>,
    ) -> Result<Response<v1::GetProfileResponse>, Status> {
        let deadline = asked::deadline(request.metadata());
        let request = request.into_inner();
        let user_id = asked::user_id("user_id", &request.user_id)?;
        let terms = asked::terms(&self.shared.config, &request.read_after, request.read_at, deadline)?;
        let profile = read::one(&self.shared, user_id, &terms).await?;
        Ok(Response::new(v1::GetProfileResponse { profile: Some(profile.into()) }))
    }

    async fn batch_get_profiles(
        &self,
        request: Request<v1::BatchGetProfilesRequest>,
    ) -> Result<Response<v1::BatchGetProfilesResponse>, Status> {
        let deadline = asked::deadline(request.metadata());
        let request = request.into_inner();
        if request.user_ids.is_empty() {
            let message = "name at least one user";
            return Err(Error::refused(v1::ErrorReason::EmptyBatch, "user_ids", message).into());
        }
        let user_ids = asked::user_ids(&request.user_ids)?;
        let terms = asked::terms(&self.shared.config, &request.read_after, request.read_at, deadline)?;
        let batch = read::some(&self.shared, &user_ids, &terms).await?;
        Ok(Response::new(batch.into()))
    }

    async fn watch_profile_changes(
        &self,
        request: Request<v1::WatchProfileChangesRequest>,
    ) -> Result<Response<Answers>, Status> {
        let request = request.into_inner();
        let shard = asked::shard(&request)?;
        let start = asked::start(&request, shard, self.shared.store.layout().partitions)?;
        let users = asked::user_ids(&request.user_ids)?.into_iter().collect();
        let wish = watch::Wish { shard, users, include_profile: request.include_profile };
        Ok(Response::new(watch::begin(&self.shared, wish, start).await?))
    }
}

impl From<read::Batch> for v1::BatchGetProfilesResponse {
    fn from(batch: read::Batch) -> Self {
        Self {
            profiles: batch.found.into_iter().map(Into::into).collect(),
            missing_user_ids: batch.missing.iter().map(ToString::to_string).collect(),
        }
    }
}

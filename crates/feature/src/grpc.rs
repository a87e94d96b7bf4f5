//! The edge of this room: validates, converts, calls, converts. Nothing is decided here.

use crate::context::Shared;
use crate::error::Error;
use crate::partitions;
use crate::vectors::{self, Selection, With};
use portrait_profile::{FeatureSchema, Timestamp};
use portrait_proto::request::{Refusal, Shard};
use portrait_proto::v1::feature_service_server::FeatureService;
use portrait_proto::v1::{self, ErrorReason};
use portrait_proto::{feature, request, time};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service as tonic calls it.
pub(crate) struct Grpc {
    /// What the workers share too.
    pub(crate) shared: Arc<Shared>,
}

#[tonic::async_trait]
impl FeatureService for Grpc {
    type StreamFeaturesStream = vectors::Pages;

    async fn get_features(
        &self,
        request: Request<v1::GetFeaturesRequest>,
    ) -> Result<Response<v1::GetFeaturesResponse>, Status> {
        let request = request.into_inner();
        request::batch("user_ids", request.user_ids.len())?;
        let user_ids = request::user_ids("user_ids", &request.user_ids)?;
        let as_of = self.as_of(request.as_of).await?;
        let (vectors, missing_user_ids) = vectors::of_users(&self.shared, &user_ids, as_of).await?;
        let schema_hash = FeatureSchema::current().hash();
        let as_of = Some(time::to_wire(as_of));
        Ok(Response::new(v1::GetFeaturesResponse { schema_hash, as_of, vectors, missing_user_ids }))
    }

    async fn stream_features(
        &self,
        request: Request<v1::StreamFeaturesRequest>,
    ) -> Result<Response<Self::StreamFeaturesStream>, Status> {
        let request = request.into_inner();
        let as_of = self.as_of(request.as_of).await?;
        let selection = selection(&request, as_of)?;
        Ok(Response::new(vectors::stream(&self.shared, selection)))
    }

    async fn get_feature_schema(
        &self,
        _: Request<v1::GetFeatureSchemaRequest>,
    ) -> Result<Response<v1::GetFeatureSchemaResponse>, Status> {
        let schema = FeatureSchema::current();
        let components = feature::components_to_wire(schema);
        Ok(Response::new(v1::GetFeatureSchemaResponse { schema_hash: schema.hash(), components }))
    }

    async fn list_partitions(
        &self,
        _: Request<v1::ListPartitionsRequest>,
    ) -> Result<Response<v1::ListPartitionsResponse>, Status> {
        let partitions = partitions::list(self.shared.store.as_ref(), self.shared.now()).await?;
        Ok(Response::new(v1::ListPartitionsResponse { partitions }))
    }
}

impl Grpc {
    async fn as_of(&self, at: Option<prost_types::Timestamp>) -> Result<Timestamp, Error> {
        match request::moment("as_of", at)? {
            Some(at) => Ok(at),
            None => Ok(self.shared.moment().await?),
        }
    }
}

fn selection(request: &v1::StreamFeaturesRequest, as_of: Timestamp) -> Result<Selection, Refusal> {
    let sample = if request.sample == 0.0 { 1.0 } else { request.sample };
    if !(sample > 0.0 && sample <= 1.0) {
        let message = format!("{} is not a share above 0 and at most 1", request.sample);
        return Err(Refusal::new(ErrorReason::OutOfRange, "sample", message));
    }
    let shard = Shard::from_wire(request.shard_index, request.shard_count)?;
    let with = With {
        recent_items: request.include_recent_items,
        transitions: request.include_transitions,
        moments: request.include_moments,
    };
    Ok(Selection { as_of, sample, with, shard })
}

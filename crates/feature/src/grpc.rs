//! gRPC handlers: validate, convert, call, convert. They hold no logic.

use crate::context::FeatureContext;
use crate::error::Error;
use crate::partitions;
use crate::vectors::{self, IncludedParts, Selection};
use portrait_profile::{FeatureSchema, Timestamp};
use portrait_proto::request::{Shard, ValidationError};
use portrait_proto::v1::feature_service_server::FeatureService;
use portrait_proto::v1::{self, ErrorReason};
use portrait_proto::{feature, request, time};
use portrait_runtime::tokens::{Caller, Paced};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// gRPC implementation of `FeatureService`, shared by all connections.
pub(crate) struct Grpc {
    pub(crate) shared: Arc<FeatureContext>,
}

#[tonic::async_trait]
impl FeatureService for Grpc {
    type StreamFeaturesStream = Paced<Result<v1::StreamFeaturesResponse, Status>>;

    async fn get_features(
        &self,
        request: Request<v1::GetFeaturesRequest>,
    ) -> Result<Response<v1::GetFeaturesResponse>, Status> {
        let caller = Caller::of(request.extensions());
        let request = request.into_inner();
        request::batch("user_ids", request.user_ids.len())?;
        let user_ids = request::user_ids("user_ids", &request.user_ids)?;
        caller.inspect(|caller| caller.charge_users(user_ids.len()));
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
        let caller = Caller::of(request.extensions());
        let request = request.into_inner();
        let as_of = self.as_of(request.as_of).await?;
        let selection = selection(&request, as_of)?;
        let pages = vectors::stream(&self.shared, selection);
        let users = |page: &Result<v1::StreamFeaturesResponse, Status>| {
            page.as_ref().map_or(0, |page| page.vectors.len())
        };
        Ok(Response::new(Caller::pace(caller, pages, users)))
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
    /// Returns the requested time, or the present if there is none.
    async fn as_of(&self, at: Option<prost_types::Timestamp>) -> Result<Timestamp, Error> {
        match request::timestamp("as_of", at)? {
            Some(at) => Ok(at),
            None => Ok(self.shared.read_at().await?),
        }
    }
}

fn selection(request: &v1::StreamFeaturesRequest, as_of: Timestamp) -> Result<Selection, ValidationError> {
    // 0 is the default of the wire and means all users.
    let sample = if request.sample_fraction == 0.0 { 1.0 } else { request.sample_fraction };
    if !(sample > 0.0 && sample <= 1.0) {
        let message = format!("{} is not a fraction above 0 and at most 1", request.sample_fraction);
        return Err(ValidationError::new(ErrorReason::OutOfRange, "sample_fraction", message));
    }
    let shard = Shard::from_wire(request.shard_index, request.shard_count)?;
    let include = IncludedParts {
        recent_items: request.include_recent_items,
        transitions: request.include_transitions,
        snapshots: request.include_snapshots,
    };
    Ok(Selection { as_of, sample, include, shard })
}

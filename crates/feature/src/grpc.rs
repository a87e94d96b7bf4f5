//! The edge of this room: validates, converts, calls, converts. Nothing is decided here.

use crate::error::Error;
use crate::partitions;
use crate::vectors::{self, Selection, With};
use crate::worker::Shared;
use portrait_profile::{FeatureSchema, Timestamp, UserId};
use portrait_proto::v1::feature_service_server::FeatureService;
use portrait_proto::v1::{self, ErrorReason};
use portrait_proto::{feature, time};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// How many ids one request may have.
const USERS_MAX: usize = 1000;
/// How many pages wait for a slow reader.
const PAGES_WAITING: usize = 2;

/// The service as tonic calls it.
pub(crate) struct Grpc {
    /// What the workers share too.
    pub(crate) shared: Arc<Shared>,
}

#[tonic::async_trait]
impl FeatureService for Grpc {
    type StreamFeaturesStream = ReceiverStream<Result<v1::StreamFeaturesResponse, Status>>;

    async fn get_features(
        &self,
        request: Request<v1::GetFeaturesRequest>,
    ) -> Result<Response<v1::GetFeaturesResponse>, Status> {
        let request = request.into_inner();
        let user_ids = user_ids(&request.user_ids)?;
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
        let (pages, receiver) = mpsc::channel(PAGES_WAITING);
        let shared = Arc::clone(&self.shared);
        #[expect(
            clippy::disallowed_methods,
            reason = "ends with its reader: a send fails once the stream is dropped"
        )]
        tokio::spawn(async move {
            if let Err(error) = vectors::stream(&shared, selection, pages.clone()).await {
                // The reader may be gone; then nobody needs the error.
                let _ = pages.send(Err(error.into())).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
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
    async fn as_of(&self, asked: Option<prost_types::Timestamp>) -> Result<Timestamp, Error> {
        match asked {
            Some(asked) => time::from_wire(&asked).map_err(|fault| {
                refused(ErrorReason::BadTime, "as_of", format!("{fault}; leave it out for now"))
            }),
            None => Ok(self.shared.profile_clock.now(self.shared.store.as_ref(), self.shared.now()).await?),
        }
    }
}

fn user_ids(texts: &[String]) -> Result<Vec<UserId>, Error> {
    if texts.is_empty() {
        return Err(refused(ErrorReason::EmptyBatch, "user_ids", "name at least one user".into()));
    }
    if texts.len() > USERS_MAX {
        let message = format!("{} users asked for, {USERS_MAX} are allowed: split the request", texts.len());
        return Err(refused(ErrorReason::TooMany, "user_ids", message));
    }
    let parsed = texts.iter().enumerate().map(|(index, text)| {
        UserId::parse(text).map_err(|fault| Error::Request {
            reason: portrait_proto::fault::reason_of(fault),
            field: format!("user_ids[{index}]"),
            message: fault.to_string(),
        })
    });
    parsed.collect()
}

fn selection(request: &v1::StreamFeaturesRequest, as_of: Timestamp) -> Result<Selection, Error> {
    let sample = if request.sample == 0.0 { 1.0 } else { request.sample };
    if !(sample > 0.0 && sample <= 1.0) {
        let message = format!("{} is not a share above 0 and at most 1", request.sample);
        return Err(refused(ErrorReason::OutOfRange, "sample", message));
    }
    let shard_count = request.shard_count.max(1);
    if request.shard_index >= shard_count {
        let message = format!("{} is not below shard_count {shard_count}", request.shard_index);
        return Err(refused(ErrorReason::OutOfRange, "shard_index", message));
    }
    let with = With {
        recent_items: request.include_recent_items,
        transitions: request.include_transitions,
        moments: request.include_moments,
    };
    Ok(Selection { as_of, sample, with, shard_index: request.shard_index, shard_count })
}

fn refused(reason: ErrorReason, field: &str, message: String) -> Error {
    Error::Request { reason, field: field.to_owned(), message }
}

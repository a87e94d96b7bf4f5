//! gRPC edge of the model service: validate, to domain, call, to wire. It makes no decisions.

use crate::broadcast::{self, ModelStream};
use crate::command::{ProgressReporter, SegmentCount, TrainerCommand, TrainingResult};
use crate::context::ModelContext;
use crate::error::Error;
use crate::publish;
use futures::StreamExt;
use futures::stream::BoxStream;
use portrait_profile::ModelVersion;
use portrait_proto::request::ValidationError;
use portrait_proto::status::with_causes;
use portrait_proto::v1;
use portrait_proto::v1::model_service_server::ModelService;
use portrait_proto::v1::train_model_response::Kind;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Progress messages queued for a slow caller; beyond that they are dropped.
const PROGRESS_QUEUED_MAX: usize = 32;

/// Response stream of `TrainModel`.
type Training = BoxStream<'static, Result<v1::TrainModelResponse, Status>>;

/// Implementation of the generated service trait.
pub(crate) struct Grpc {
    /// State shared with the trainer.
    pub(crate) shared: Arc<ModelContext>,
}

#[tonic::async_trait]
impl ModelService for Grpc {
    type WatchModelsStream = ModelStream;
    type TrainModelStream = Training;

    async fn watch_models(
        &self,
        request: Request<Streaming<v1::WatchModelsRequest>>,
    ) -> Result<Response<ModelStream>, Status> {
        Ok(Response::new(broadcast::begin(&self.shared, request.into_inner()).await?))
    }

    async fn get_model(
        &self,
        request: Request<v1::GetModelRequest>,
    ) -> Result<Response<v1::GetModelResponse>, Status> {
        // From the store, not the cache: a caller that has just activated a version must see it.
        let registry = self.shared.stored_registry().await?;
        let version = match request.into_inner().version {
            0 => registry.active.ok_or(Error::NoModel)?,
            number => version(number)?,
        };
        let manifest = publish::manifest_of(&registry, version)?;
        let active = registry.active == Some(version);
        Ok(Response::new(v1::GetModelResponse { manifest: Some(manifest), active }))
    }

    async fn list_models(
        &self,
        _: Request<v1::ListModelsRequest>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        let registry = self.shared.stored_registry().await?;
        let models = registry.models.iter().map(|model| publish::manifest_of(&registry, model.version));
        let models = models.collect::<Result<_, _>>()?;
        let active_version = registry.active.map_or(0, ModelVersion::get);
        let nodes = self.shared.nodes.list();
        let drift = self.shared.drift.borrow().clone();
        Ok(Response::new(v1::ListModelsResponse { models, active_version, nodes, drift }))
    }

    async fn train_model(
        &self,
        request: Request<v1::TrainModelRequest>,
    ) -> Result<Response<Self::TrainModelStream>, Status> {
        let request = request.into_inner();
        let count = count(&request, self.shared.config.segments_max)?;
        let (progress_sender, progress) = mpsc::channel(PROGRESS_QUEUED_MAX);
        let (answer, outcome) = oneshot::channel();
        let reporter = ProgressReporter::to(progress_sender);
        self.shared.send_command(TrainerCommand::Train {
            count,
            force: request.force,
            progress: reporter,
            answer,
        })?;
        Ok(Response::new(stream_of_training(Arc::clone(&self.shared), progress, outcome)))
    }

    async fn check_drift(
        &self,
        _: Request<v1::CheckDriftRequest>,
    ) -> Result<Response<v1::CheckDriftResponse>, Status> {
        let (answer, outcome) = oneshot::channel();
        self.shared.send_command(TrainerCommand::CheckDrift { answer })?;
        let (drift, trained) = outcome.await.unwrap_or(Err(Error::ShuttingDown))?;
        let training = match trained {
            Some(trained) => Some(outcome_to_wire(&self.shared, trained).await?),
            None => None,
        };
        Ok(Response::new(v1::CheckDriftResponse { drift: Some(drift), training }))
    }

    async fn activate_model(
        &self,
        request: Request<v1::ActivateModelRequest>,
    ) -> Result<Response<v1::ActivateModelResponse>, Status> {
        let version = version(request.into_inner().version)?;
        let activation = publish::activate(&self.shared, version).await?;
        Ok(Response::new(v1::ActivateModelResponse {
            active_version: version.get(),
            previous_version: activation.previous.map_or(0, ModelVersion::get),
            nodes: publish::await_nodes(&self.shared, &activation).await,
        }))
    }
}

/// Streams the progress of a training and, as the last message, its outcome.
fn stream_of_training(
    shared: Arc<ModelContext>,
    progress: mpsc::Receiver<v1::TrainProgress>,
    outcome: oneshot::Receiver<TrainingResult>,
) -> Training {
    let progress = ReceiverStream::new(progress)
        .map(|progress| Ok(v1::TrainModelResponse { kind: Some(Kind::Progress(progress)) }));
    let outcome = async move {
        let outcome = outcome_to_wire(&shared, outcome.await.unwrap_or(Err(Error::ShuttingDown))).await?;
        Ok(v1::TrainModelResponse { kind: Some(Kind::Outcome(outcome)) })
    };
    progress.chain(futures::stream::once(outcome)).boxed()
}

fn version(number: u64) -> Result<ModelVersion, Error> {
    ModelVersion::new(number).ok_or(Error::NotFound { version: number })
}

fn count(request: &v1::TrainModelRequest, segments_max: usize) -> Result<SegmentCount, ValidationError> {
    let requested = request.segments as usize;
    match (requested, request.choose_segments) {
        (0, false) => Ok(SegmentCount::Unchanged),
        (0, true) => Ok(SegmentCount::Auto),
        (requested, false) if (1..=segments_max).contains(&requested) => Ok(SegmentCount::Exactly(requested)),
        (_, true) => {
            let message = "is set together with segments: leave one of them out";
            Err(ValidationError::new(v1::ErrorReason::ConflictingFields, "choose_segments", message))
        }
        (requested, false) => {
            let message = format!("is {requested}: send 1 to {segments_max}, or raise model.segments_max");
            Err(ValidationError::new(v1::ErrorReason::OutOfRange, "segments", message))
        }
    }
}

/// Converts the result of a training once the nodes have acknowledged it. A refusal because of the data is an outcome; a
/// training that could not run is an error.
async fn outcome_to_wire(shared: &ModelContext, trained: TrainingResult) -> Result<v1::TrainOutcome, Status> {
    match trained {
        Ok(activation) => Ok(v1::TrainOutcome {
            published: true,
            version: activation.manifest.version,
            refusal: String::new(),
            nodes: publish::await_nodes(shared, &activation).await,
            manifest: Some(activation.manifest),
        }),
        Err(
            error @ (Error::InertiaIncreased { .. }
            | Error::TooFew { .. }
            | Error::NothingToLearn { .. }
            | Error::Learning(_)),
        ) => Ok(v1::TrainOutcome { refusal: with_causes(&error), ..Default::default() }),
        Err(error) => Err(error.into()),
    }
}

//! Training on request, with progress.

use crate::{Error, RoleRouter};
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::train_model_response::Kind;
use portrait_proto::v1::{TrainModelRequest, TrainOutcome};

/// Starts a training and waits for its outcome. `progress` is called with the name of the stage and its number of processed rows.
///
/// # Errors
/// [`Error::Failed`] if the training fails, [`Error::Protocol`] if the stream ends without an outcome.
pub async fn train(
    router: RoleRouter,
    request: TrainModelRequest,
    mut progress: impl FnMut(&str, u64),
) -> Result<TrainOutcome, Error> {
    let responses = ModelServiceClient::new(router).train_model(request).await;
    let mut responses = responses.map_err(Error::Failed)?.into_inner();
    // Progress messages come until the outcome, which is always the last message.
    while let Some(response) = responses.message().await.map_err(Error::Failed)? {
        match response.kind.ok_or(Error::Protocol("a response without a kind"))? {
            Kind::Progress(stage) => progress(&stage.stage, stage.done),
            Kind::Outcome(outcome) => return Ok(outcome),
        }
    }
    Err(Error::Protocol("the server ended the training without an outcome"))
}

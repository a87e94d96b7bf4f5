//! A training that a caller starts. In goes a request, out come stages while it runs, and the outcome.

use crate::{Error, RoleRouter};
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::train_model_response::Kind;
use portrait_proto::v1::{TrainModelRequest, TrainOutcome};

/// Starts a training and waits for its outcome. `progress` gets the name of a stage and the rows that it has done.
///
/// # Errors
/// If the training could not be done.
pub async fn train(
    line: RoleRouter,
    request: TrainModelRequest,
    mut progress: impl FnMut(&str, u64),
) -> Result<TrainOutcome, Error> {
    let answers = ModelServiceClient::new(line).train_model(request).await;
    let mut answers = answers.map_err(Error::Answered)?.into_inner();
    while let Some(answer) = answers.message().await.map_err(Error::Answered)? {
        match answer.kind.ok_or(Error::Protocol("an answer without a kind"))? {
            Kind::Progress(stage) => progress(&stage.stage, stage.done),
            Kind::Outcome(outcome) => return Ok(outcome),
        }
    }
    Err(Error::Protocol("the server ended the training without an outcome"))
}

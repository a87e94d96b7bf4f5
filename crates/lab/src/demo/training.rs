//! One training from a caller's side, with everything that follows from it: in go a connection and what to ask for, out comes
//! the outcome when the new model is served and every profile has been looked at for it. Nothing may be sent meanwhile.

use anyhow::{Result, bail};
use portrait_client as client;
use portrait_client::Line;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    ListModelsRequest, ListSegmentsRequest, ListSegmentsResponse, TrainModelRequest, TrainOutcome,
};
use std::time::Duration;
use tonic::Code;

/// How long looking at everybody may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks for a training; everything sent before must be applied, and `known` is the newest model that everybody has been looked
/// at for. Returns when every profile is where the new model says, or at once if no model was published.
///
/// # Errors
/// If the training fails, or the profiles do not follow it within [`PATIENCE`].
pub(super) async fn train(
    channel: &Line,
    mut request: TrainModelRequest,
    known: u64,
) -> Result<TrainOutcome> {
    loop {
        let active = active(channel).await?;
        if active != known {
            // The server has learned one by itself: first everybody is looked at for that.
            swept(channel, active).await?;
        }
        let outcome = client::train(channel.clone(), request, |_, _| {}).await?;
        if !outcome.published {
            return Ok(outcome);
        }
        if outcome.version == active + 1 {
            swept(channel, outcome.version).await?;
            return Ok(outcome);
        }
        // The server has learned one by itself just before, and nobody was looked at for it when this one was learned.
        // Its number of segments was chosen from the same shoppers.
        request.choose_segments = false;
    }
}

/// Waits until everybody was looked at for a model.
pub(super) async fn swept(channel: &Line, version: u64) -> Result<()> {
    match tokio::time::timeout(PATIENCE, client::wait_until_swept(channel.clone(), version)).await {
        Ok(swept) => Ok(swept?),
        Err(_) => bail!("the profiles did not follow model {version} within {} s", PATIENCE.as_secs()),
    }
}

/// The segments of the served model; none before the first.
pub(super) async fn segments(channel: &Line) -> Result<Option<ListSegmentsResponse>> {
    match QueryServiceClient::new(channel.clone()).list_segments(ListSegmentsRequest {}).await {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if status.code() == Code::FailedPrecondition => Ok(None),
        Err(status) => Err(status.into()),
    }
}

/// The newest model that is served; 0 before the first.
async fn active(channel: &Line) -> Result<u64> {
    let answer = ModelServiceClient::new(channel.clone()).list_models(ListModelsRequest {}).await?;
    Ok(answer.into_inner().active_version)
}

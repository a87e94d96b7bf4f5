//! One training as a client sees it: returns the outcome once the new model is served and every profile is swept for
//! it. No events may be sent meanwhile.

use anyhow::{Result, bail};
use portrait_client as client;
use portrait_client::RoleRouter;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    ListModelsRequest, ListSegmentsRequest, ListSegmentsResponse, TrainModelRequest, TrainOutcome,
};
use std::time::Duration;
use tonic::Code;

/// Time limit for a sweep.
const TRAINING_TIMEOUT: Duration = Duration::from_secs(60);

/// Requests a training. All events must be applied, and `known` is the newest version that all profiles were swept
/// for. Returns when every profile has its segment of the new model, or at once if no model was published.
///
/// # Errors
/// If the training fails, or the sweep takes longer than [`TRAINING_TIMEOUT`].
pub(super) async fn train(
    channel: &RoleRouter,
    mut request: TrainModelRequest,
    known: u64,
) -> Result<TrainOutcome> {
    loop {
        let active = active(channel).await?;
        if active != known {
            // The server has trained by itself: that model's sweep comes first.
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
        // The server trained by itself in between, and this training ran before the sweep for that model. Its number
        // of segments was chosen from the same users and is kept.
        request.choose_segments = false;
    }
}

/// Waits until all profiles are swept for a model.
pub(super) async fn swept(channel: &RoleRouter, version: u64) -> Result<()> {
    match tokio::time::timeout(TRAINING_TIMEOUT, client::wait_until_swept(channel.clone(), version)).await {
        Ok(swept) => Ok(swept?),
        Err(_) => {
            bail!("the profiles did not follow model {version} within {} s", TRAINING_TIMEOUT.as_secs())
        }
    }
}

/// Segments of the served model; none before the first.
pub(super) async fn segments(channel: &RoleRouter) -> Result<Option<ListSegmentsResponse>> {
    match QueryServiceClient::new(channel.clone()).list_segments(ListSegmentsRequest {}).await {
        Ok(response) => Ok(Some(response.into_inner())),
        Err(status) if status.code() == Code::FailedPrecondition => Ok(None),
        Err(status) => Err(status.into()),
    }
}

/// Active model version; 0 before the first.
async fn active(channel: &RoleRouter) -> Result<u64> {
    let response = ModelServiceClient::new(channel.clone()).list_models(ListModelsRequest {}).await?;
    Ok(response.into_inner().active_version)
}

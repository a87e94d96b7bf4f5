//! One training from a caller's side, with everything that follows from it: in go a connection and what to ask for, out comes
//! the outcome when the new model is served and every profile has been looked at for it. Nothing may be sent meanwhile.

use crate::train;
use anyhow::{Result, bail};
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    ListModelsRequest, ListPartitionsRequest, ListSegmentsRequest, ListSegmentsResponse, TrainModelRequest,
    TrainOutcome,
};
use std::time::{Duration, Instant};
use tonic::Code;
use tonic::transport::Channel;

/// How often it is asked how far the server is.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// A server that looks at everybody is done when it has committed nothing for so long; between two pages it pauses for some
/// milliseconds at the demo's rate.
const QUIET: Duration = Duration::from_millis(60);
/// A server that commits nothing for so long does not begin to look at everybody either: it looks for a new model at least
/// every half second.
const IDLE: Duration = Duration::from_millis(800);
/// How long looking at everybody may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks for a training; everything sent before must be applied, and `known` is the newest model that everybody has been looked
/// at for. Returns when every profile is where the new model says, or at once if no model was published.
///
/// # Errors
/// If the training fails, or the profiles do not follow it within [`PATIENCE`].
pub(super) async fn train(
    channel: &Channel,
    mut request: TrainModelRequest,
    known: u64,
) -> Result<TrainOutcome> {
    loop {
        let active = active(channel).await?;
        if active != known {
            // The server has learned one by itself: first everybody is looked at for that.
            within_patience(channel, &[], active, IDLE).await?;
        }
        let before = commits(channel).await?;
        let outcome = train::train(channel.clone(), request, |_, _| {}).await?;
        if !outcome.published {
            return Ok(outcome);
        }
        if outcome.version == active + 1 {
            within_patience(channel, &before, outcome.version, QUIET).await?;
            return Ok(outcome);
        }
        // The server has learned one by itself just before, and nobody was looked at for it when this one was learned.
        // Its number of segments was chosen from the same shoppers.
        request.choose_segments = false;
    }
}

async fn within_patience(channel: &Channel, before: &[u64], version: u64, quiet: Duration) -> Result<()> {
    match tokio::time::timeout(PATIENCE, everybody_looked_at(channel, before, version, quiet)).await {
        Ok(looked_at) => looked_at,
        Err(_) => bail!("the profiles did not follow model {version} within {} s", PATIENCE.as_secs()),
    }
}

/// The segments of the served model; none before the first.
pub(super) async fn segments(channel: &Channel) -> Result<Option<ListSegmentsResponse>> {
    match QueryServiceClient::new(channel.clone()).list_segments(ListSegmentsRequest {}).await {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if status.code() == Code::FailedPrecondition => Ok(None),
        Err(status) => Err(status.into()),
    }
}

/// The end of a look at everybody of a partition is always a commit, whether somebody moves or not. As nothing else is under
/// way, the server is done when each partition has committed since `before` and none commits any more for a while.
async fn everybody_looked_at(channel: &Channel, before: &[u64], version: u64, quiet: Duration) -> Result<()> {
    let (mut newest, mut quiet_since) = (Vec::new(), Instant::now());
    loop {
        let now = commits(channel).await?;
        if now != newest {
            (newest, quiet_since) = (now, Instant::now());
        }
        let each = before.iter().zip(&newest).all(|(then, now)| now > then);
        if each && quiet_since.elapsed() >= quiet {
            let served = segments(channel).await?;
            if served.is_some_and(|served| served.model_version == version && served.in_retired == 0) {
                return Ok(());
            }
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// The newest model that is served; 0 before the first.
async fn active(channel: &Channel) -> Result<u64> {
    let answer = ModelServiceClient::new(channel.clone()).list_models(ListModelsRequest {}).await?;
    Ok(answer.into_inner().active_version)
}

/// Commits of each partition so far.
async fn commits(channel: &Channel) -> Result<Vec<u64>> {
    let answer = FeatureServiceClient::new(channel.clone()).list_partitions(ListPartitionsRequest {}).await?;
    Ok(answer.into_inner().partitions.iter().map(|partition| partition.commit_no).collect())
}

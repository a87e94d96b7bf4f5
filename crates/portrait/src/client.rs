//! The caller's side, as this binary's commands need it: a connection, a stream of events with several requests under way,
//! and waiting until everything sent is in the profiles.

mod line;
mod target;

use anyhow::{Result, bail};
use futures::StreamExt;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{Event, ListPartitionsRequest, TrackStreamRequest};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

pub use line::Line;
pub(crate) use line::{ROLES, lazily};
pub use target::Target;

/// Events of one request of a stream.
pub const REQUEST_EVENTS: usize = 1000;
/// Requests that may be under way.
pub const REQUESTS_UNDER_WAY: usize = 32;
/// How often a standing is asked for while waiting.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// How long a server may apply nothing before nobody waits for it any more.
const STANDSTILL: Duration = Duration::from_secs(30);

/// Connects to a deployment that asks for nothing, as [`Line::connect`].
///
/// # Errors
/// As there.
pub async fn connect(address: &str) -> Result<Line> {
    Target::at(address).connect().await
}

/// Sends events as a stream and returns when the last one is acknowledged.
///
/// # Errors
/// If the stream breaks or anything is rejected.
pub async fn send_all(channel: Line, events: &[Event]) -> Result<()> {
    let mut client = IngestServiceClient::new(channel);
    let (requests, receiver) = mpsc::channel(REQUESTS_UNDER_WAY);
    let mut answers = client.track_stream(ReceiverStream::new(receiver)).await?.into_inner();
    let sending = async {
        for (number, batch) in events.chunks(REQUEST_EVENTS).enumerate() {
            let request_number = number as u64;
            let request = TrackStreamRequest { request_number, events: batch.to_vec(), backfill: true };
            if requests.send(request).await.is_err() {
                break;
            }
        }
        drop(requests);
    };
    let receiving = async {
        let mut accepted = 0;
        while let Some(answer) = answers.next().await {
            let answer = answer?;
            if let Some(rejection) = answer.rejected.first() {
                bail!("{} was rejected: {}", rejection.field, rejection.message);
            }
            accepted += answer.accepted as usize;
        }
        Ok(accepted)
    };
    let ((), accepted) = tokio::join!(sending, receiving);
    let accepted: usize = accepted?;
    if accepted != events.len() {
        bail!("{accepted} of {} events were acknowledged before the stream ended", events.len());
    }
    Ok(())
}

/// Waits until every partition has applied what its log had when this was called.
///
/// # Errors
/// If the server does not answer, or nothing at all is applied for [`STANDSTILL`].
pub async fn wait_until_applied(channel: Line) -> Result<()> {
    let mut client = FeatureServiceClient::new(channel);
    let ends = client.list_partitions(ListPartitionsRequest {}).await?.into_inner().partitions;
    let (mut least, mut moved_at) = (u64::MAX, Instant::now());
    loop {
        let now = client.list_partitions(ListPartitionsRequest {}).await?.into_inner().partitions;
        let behind = ends.iter().zip(&now).map(|(end, now)| end.log_end.saturating_sub(now.applied_through));
        let behind: u64 = behind.sum();
        if behind == 0 {
            return Ok(());
        }
        if behind < least {
            (least, moved_at) = (behind, Instant::now());
        } else if moved_at.elapsed() > STANDSTILL {
            bail!(
                "the server has applied nothing for {} s and {behind} records wait: its log says why, and \
                 what it acknowledged is applied when it goes on",
                STANDSTILL.as_secs()
            );
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Waits until everybody was looked at for model `version`.
///
/// # Errors
/// If the server does not answer.
pub async fn wait_until_swept(channel: Line, version: u64) -> Result<()> {
    let mut client = FeatureServiceClient::new(channel);
    loop {
        let partitions = client.list_partitions(ListPartitionsRequest {}).await?.into_inner().partitions;
        if partitions.iter().all(|partition| partition.swept_for_model == version) {
            return Ok(());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

//! Waiting for what a deployment does after it has acknowledged. In goes a connection, out comes nothing until every partition is
//! where it should be.

use crate::{Error, Line};
use portrait_proto::v1::ListPartitionsRequest;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use std::time::{Duration, Instant};

/// Time between two requests for the progress of partitions.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// Time without any progress after which waiting ends.
const STANDSTILL: Duration = Duration::from_secs(30);

/// Waits until every partition has applied what its log had when this was called.
///
/// # Errors
/// If the server does not answer, or nothing at all is applied for 30 seconds.
pub async fn wait_until_applied(line: Line) -> Result<(), Error> {
    let mut client = FeatureServiceClient::new(line);
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
            return Err(Error::Standstill { seconds: STANDSTILL.as_secs(), behind });
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Waits until every profile was assigned by model `version`.
///
/// # Errors
/// If the server does not answer.
pub async fn wait_until_swept(line: Line, version: u64) -> Result<(), Error> {
    let mut client = FeatureServiceClient::new(line);
    loop {
        let partitions = client.list_partitions(ListPartitionsRequest {}).await?.into_inner().partitions;
        if partitions.iter().all(|partition| partition.swept_for_model == version) {
            return Ok(());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

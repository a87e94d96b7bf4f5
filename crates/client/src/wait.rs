//! Waiting for what a deployment does after it has acknowledged. In goes a connection, out comes nothing until every partition is
//! where it should be.

use crate::{Error, RoleRouter};
use portrait_proto::v1::ListPartitionsRequest;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use std::time::{Duration, Instant};

/// Time between two requests for the progress of partitions.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Time without any progress after which waiting ends.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until every partition has applied what its log had when this was called.
///
/// # Errors
/// If the server does not answer, or nothing at all is applied for 30 seconds.
pub async fn wait_until_applied(line: RoleRouter) -> Result<(), Error> {
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
        } else if moved_at.elapsed() > STALL_TIMEOUT {
            return Err(Error::Standstill { seconds: STALL_TIMEOUT.as_secs(), behind });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Waits until every profile was assigned by model `version`.
///
/// # Errors
/// If the server does not answer.
pub async fn wait_until_swept(line: RoleRouter, version: u64) -> Result<(), Error> {
    let mut client = FeatureServiceClient::new(line);
    loop {
        let partitions = client.list_partitions(ListPartitionsRequest {}).await?.into_inner().partitions;
        if partitions.iter().all(|partition| partition.swept_model_version == version) {
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

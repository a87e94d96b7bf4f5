//! Waits for the progress of partitions: applied records and swept models.

use crate::{Error, RoleRouter};
use portrait_proto::v1::ListPartitionsRequest;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use std::time::{Duration, Instant};

/// Interval of polls of the partitions.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Time without progress after which a wait fails.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until every partition has applied the records that its log had at the time of the call.
///
/// # Errors
/// [`Error::Status`] if a call fails, [`Error::Stalled`] if no record is applied for 30 seconds.
pub async fn wait_until_applied(router: RoleRouter) -> Result<(), Error> {
    let mut client = FeatureServiceClient::new(router);
    // The ends are read once: records appended later must not prolong the wait.
    let ends = client.list_partitions(ListPartitionsRequest {}).await?.into_inner().partitions;
    let mut behind_min = u64::MAX;
    let mut progressed_at = Instant::now();
    loop {
        let now = client.list_partitions(ListPartitionsRequest {}).await?.into_inner().partitions;
        let behind = ends.iter().zip(&now).map(|(end, now)| end.log_end.saturating_sub(now.applied_through));
        let behind: u64 = behind.sum();
        if behind == 0 {
            return Ok(());
        }
        // Only a new minimum counts as progress.
        if behind < behind_min {
            behind_min = behind;
            progressed_at = Instant::now();
        } else if progressed_at.elapsed() > STALL_TIMEOUT {
            return Err(Error::Stalled { seconds: STALL_TIMEOUT.as_secs(), behind });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Waits until every partition has been swept for model `version`, so that all profiles have its segments.
///
/// # Errors
/// [`Error::Status`] if a call fails.
pub async fn wait_until_swept(router: RoleRouter, version: u64) -> Result<(), Error> {
    let mut client = FeatureServiceClient::new(router);
    loop {
        let partitions = client.list_partitions(ListPartitionsRequest {}).await?.into_inner().partitions;
        if partitions.iter().all(|partition| partition.swept_model_version == version) {
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

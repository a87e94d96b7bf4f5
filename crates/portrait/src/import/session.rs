//! What every import does beside its rows: it ends at Ctrl-C, and compares the numbers of the deployment before and after.

use super::report::ImportReport;
use anyhow::Result;
use portrait_client::{self as client, RoleRouter};
use portrait_proto::v1::ListPartitionsRequest;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Interval at which Ctrl-C is noticed while nothing is imported.
const STOP_INTERVAL: Duration = Duration::from_millis(100);

/// Returns a flag that the first Ctrl-C sets. The second one ends the process, as it would without an import.
pub(super) fn stopped_by_signal() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if flag.swap(true, Ordering::Relaxed) {
                // The shell's code for a process that SIGINT ended.
                std::process::exit(130);
            }
        }
    });
    stop
}

/// Returns once Ctrl-C has set the flag.
pub(super) async fn stopped(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(STOP_INTERVAL).await;
    }
}

/// Waits until the sent events are applied, and counts the duplicates among them.
pub(super) async fn settle(router: RoleRouter, before: &Totals, report: &mut ImportReport) -> Result<()> {
    client::wait_until_applied(router.clone()).await?;
    // The server counts duplicates when it applies records, so the difference of its counters has them. Concurrent
    // senders of duplicates would be counted too.
    let totals = totals(router).await?;
    report.duplicates += totals.duplicates.saturating_sub(before.duplicates);
    report.kept_ids = totals.kept_ids;
    Ok(())
}

/// Numbers of a deployment since it was created.
pub(super) struct Totals {
    /// Records that were dropped as duplicates.
    duplicates: u64,
    /// Ids of rows of sources, which are kept for ever.
    kept_ids: u64,
}

/// Returns the numbers of the server's deployment.
pub(super) async fn totals(router: RoleRouter) -> Result<Totals> {
    let mut feature = FeatureServiceClient::new(router);
    let response =
        feature.list_partitions(ListPartitionsRequest {}).await.map_err(client::Error::from)?.into_inner();
    let partitions = response.partitions.iter();
    Ok(Totals {
        duplicates: partitions.clone().map(|partition| partition.duplicates_total).sum(),
        kept_ids: partitions.map(|partition| partition.sourced_total).sum(),
    })
}

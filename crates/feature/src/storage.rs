//! Measurement of the owned logs and of the store's space for the metrics.

use crate::context::FeatureContext;
use portrait_proto::status::with_causes;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Measures at every `feature.trim_interval` until `shutdown`.
pub(crate) async fn run(shared: Arc<FeatureContext>, shutdown: CancellationToken) {
    let interval = shared.config.measure_interval();
    let bytes_max = shared.config.log_bytes_of_partition(shared.store.layout().partitions);
    loop {
        shared.metrics.logs(shared.logs.totals(shared.now(), bytes_max));
        shared.metrics.oldest_erasure(shared.logs.oldest_erasure_seconds(shared.now()));
        match shared.store.space().await {
            Ok(space) => shared.metrics.space(space),
            // The last value stays; other alerts fire if the store is away.
            Err(error) => tracing::debug!(error = with_causes(&error), "store space cannot be read"),
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(interval)).await.is_none() {
            return;
        }
    }
}

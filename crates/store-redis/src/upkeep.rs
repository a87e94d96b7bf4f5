//! Upkeep of an open store at an interval: open connections are checked, so that one that the network forgot is replaced before the
//! next request needs it, and the id of the store is compared, so that an idle process notices a loss too.

use super::cluster::ClusterClient;
use super::health::StoreHealth;
use super::identity::StoreIdentity;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// State of the upkeep task.
pub(super) struct Upkeep {
    pub(super) cluster: Arc<ClusterClient>,
    pub(super) identity: Arc<StoreIdentity>,
    pub(super) health: Arc<StoreHealth>,
    pub(super) interval: Duration,
}

impl Upkeep {
    /// Runs until `ended` is cancelled.
    pub(super) async fn run(self, ended: CancellationToken) {
        let upkeep = async {
            loop {
                tokio::time::sleep(self.interval).await;
                self.cluster.ping().await;
                // A loss is reported by the comparison itself; an outage is met by every request.
                let _ = self.identity.verify().await;
                self.health.expire();
            }
        };
        ended.run_until_cancelled(upkeep).await;
    }
}

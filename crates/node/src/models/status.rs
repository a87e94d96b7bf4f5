//! Report of the served and of the refused version, in `/readyz` and the metrics.

use opentelemetry::metrics::{Gauge, Meter};
use portrait_runtime::health::Health;

/// Component of the report in `/readyz`.
const COMPONENT: &str = "model";

/// Where the follower reports its version.
#[derive(Clone)]
pub struct ModelStatus {
    health: Health,
    served: Gauge<u64>,
    refused: Gauge<u64>,
}

impl ModelStatus {
    /// Creates the instruments with `meter`.
    pub fn new(meter: &Meter, health: Health) -> Self {
        let status = Self {
            health,
            served: meter
                .u64_gauge("portrait_node_served_model")
                .with_description("version of the model that this process serves; 0 before the first")
                .build(),
            refused: meter
                .u64_gauge("portrait_node_refused_model")
                .with_description("version of the active model if this process refuses it, else 0")
                .build(),
        };
        status.served.record(0, &[]);
        status.refused.record(0, &[]);
        status
    }

    /// Reports that `version` is served.
    pub(super) fn served(&self, version: u64) {
        self.served.record(version, &[]);
        self.refused.record(0, &[]);
        self.health.ready(COMPONENT);
    }

    /// Reports that `version` is refused and `served` stays in service; 0 for none.
    pub(super) fn refused(&self, version: u64, served: u64, reason: &str) {
        self.refused.record(version, &[]);
        let instead = if served == 0 { "no model".to_owned() } else { format!("model {served}") };
        // Degraded, not unready: the process answers, and no restart would make the model acceptable.
        self.health
            .degraded(COMPONENT, format!("model {version} is refused and {instead} is served: {reason}"));
    }
}

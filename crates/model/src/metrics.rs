//! Metrics of the model service: trainings, versions, drift, and refusals by nodes.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};
use portrait_proto::v1::{DriftStatus, ModelManifest};
use std::time::Duration;

/// Instruments of the model service.
pub(crate) struct Metrics {
    trainings: Counter<u64>,
    training_seconds: Histogram<f64>,
    version: Gauge<u64>,
    rows: Gauge<u64>,
    inertia: Gauge<f64>,
    refusals: Counter<u64>,
    drifted_components: Gauge<u64>,
    drifted_categories: Gauge<u64>,
    loyalty_shifted: Gauge<u64>,
    drift_windows: Gauge<u64>,
}

impl Metrics {
    /// Creates the instruments with `meter`.
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            trainings: meter
                .u64_counter("portrait_model_trainings")
                .with_description("trainings by outcome: published, failed")
                .with_unit("{training}")
                .build(),
            training_seconds: meter
                .f64_histogram("portrait_model_training_duration")
                .with_description("time from the first vector to the published version")
                .with_unit("s")
                .with_boundaries(vec![0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0])
                .build(),
            version: meter
                .u64_gauge("portrait_model_published_version")
                .with_description("newest version published by this process")
                .build(),
            rows: meter
                .u64_gauge("portrait_model_rows")
                .with_description("users whose vectors that version was trained on")
                .with_unit("{user}")
                .build(),
            inertia: meter
                .f64_gauge("portrait_model_inertia_per_row")
                .with_description(
                    "mean squared distance of a user to its segment centroid, in scaled components",
                )
                .build(),
            refusals: meter
                .u64_counter("portrait_model_refusals")
                .with_description("versions that a node refused to serve")
                .with_unit("{refusal}")
                .build(),
            drifted_components: meter
                .u64_gauge("portrait_model_drifted_components")
                .with_description("components whose population stability index exceeds both of its limits")
                .with_unit("{component}")
                .build(),
            drifted_categories: meter
                .u64_gauge("portrait_model_drifted_categories")
                .with_description("categories whose share of latest actions differs from the training sample")
                .with_unit("{category}")
                .build(),
            loyalty_shifted: meter
                .u64_gauge("portrait_model_loyalty_shifted")
                .with_description("1 if mean loyalty has shifted since the model was trained")
                .build(),
            drift_windows: meter
                .u64_gauge("portrait_model_drift_consecutive_checks")
                .with_description("consecutive drift checks that found drift")
                .with_unit("{check}")
                .build(),
        }
    }

    /// Records a published version.
    pub(crate) fn published(&self, manifest: &ModelManifest) {
        self.trainings.add(1, &[KeyValue::new("outcome", "published")]);
        self.version.record(manifest.version, &[]);
        self.rows.record(manifest.rows, &[]);
        if let Some(quality) = manifest.quality {
            self.inertia.record(quality.inertia_per_row, &[]);
        }
    }

    /// Records the duration of a training.
    pub(crate) fn trained(&self, took: Duration) {
        self.training_seconds.record(took.as_secs_f64(), &[]);
    }

    /// Counts a failed training.
    pub(crate) fn failed(&self) {
        self.trainings.add(1, &[KeyValue::new("outcome", "failed")]);
    }

    /// Counts a version refused by a node.
    pub(crate) fn refused(&self) {
        self.refusals.add(1, &[]);
    }

    /// Records the result of a drift check.
    pub(crate) fn drift_checked(&self, status: &DriftStatus) {
        self.drifted_components.record(status.components.len() as u64, &[]);
        self.drifted_categories.record(status.categories.len() as u64, &[]);
        self.loyalty_shifted.record(status.loyalty.is_some().into(), &[]);
        self.drift_windows.record(status.consecutive_checks.into(), &[]);
    }
}

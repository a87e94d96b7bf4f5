//! What is measured of models: trainings, versions, drift, and nodes that refuse.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};
use portrait_proto::v1::{DriftStatus, ModelManifest};
use std::time::Duration;

/// The instruments of this room.
pub(crate) struct Metrics {
    trainings: Counter<u64>,
    training_seconds: Histogram<f64>,
    version: Gauge<u64>,
    rows: Gauge<u64>,
    inertia: Gauge<f64>,
    refusals: Counter<u64>,
    moved_components: Gauge<u64>,
    moved_categories: Gauge<u64>,
    changed_habits: Gauge<u64>,
    drift_windows: Gauge<u64>,
}

impl Metrics {
    /// Registers the instruments.
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            trainings: meter
                .u64_counter("portrait_model_trainings")
                .with_description("trainings by outcome: published, failed")
                .with_unit("{training}")
                .build(),
            training_seconds: meter
                .f64_histogram("portrait_model_training_duration")
                .with_description("from the first vector to the published version")
                .with_unit("s")
                .with_boundaries(vec![0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0])
                .build(),
            version: meter
                .u64_gauge("portrait_model_published_version")
                .with_description("the newest version that this process published")
                .build(),
            rows: meter
                .u64_gauge("portrait_model_rows")
                .with_description("shoppers whose vectors that version was made from")
                .with_unit("{shopper}")
                .build(),
            inertia: meter
                .f64_gauge("portrait_model_inertia_per_row")
                .with_description(
                    "mean squared distance of a shopper to the own segment, in scaled components",
                )
                .build(),
            refusals: meter
                .u64_counter("portrait_model_refusals")
                .with_description("versions that a node refused to serve")
                .with_unit("{refusal}")
                .build(),
            moved_components: meter
                .u64_gauge("portrait_model_drifted_components")
                .with_description("components whose population stability index is above both of its limits")
                .with_unit("{component}")
                .build(),
            moved_categories: meter
                .u64_gauge("portrait_model_drifted_categories")
                .with_description(
                    "categories that another share of shoppers comes for than when the model was trained",
                )
                .with_unit("{category}")
                .build(),
            changed_habits: meter
                .u64_gauge("portrait_model_changed_habits")
                .with_description(
                    "1 if shoppers do other things than they used to, since the model was trained",
                )
                .build(),
            drift_windows: meter
                .u64_gauge("portrait_model_drift_windows")
                .with_description("looks in a row that have found drift")
                .with_unit("{look}")
                .build(),
        }
    }

    /// A version was published.
    pub(crate) fn published(&self, manifest: &ModelManifest) {
        self.trainings.add(1, &[KeyValue::new("outcome", "published")]);
        self.version.record(manifest.version, &[]);
        self.rows.record(manifest.rows, &[]);
        self.inertia.record(manifest.quality.map_or(0.0, |quality| quality.inertia_per_row), &[]);
    }

    /// A training took so long.
    pub(crate) fn trained(&self, took: Duration) {
        self.training_seconds.record(took.as_secs_f64(), &[]);
    }

    /// A training came to nothing.
    pub(crate) fn failed(&self) {
        self.trainings.add(1, &[KeyValue::new("outcome", "failed")]);
    }

    /// A node has refused a version.
    pub(crate) fn refused(&self) {
        self.refusals.add(1, &[]);
    }

    /// A look at drift.
    pub(crate) fn looked(&self, status: &DriftStatus) {
        self.moved_components.record(status.components.len() as u64, &[]);
        self.moved_categories.record(status.categories.len() as u64, &[]);
        self.changed_habits.record(status.habits.is_some().into(), &[]);
        self.drift_windows.record(status.windows.into(), &[]);
    }
}

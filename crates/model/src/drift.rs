//! Whether the shoppers have changed since the served model was made. In come looks at a sample of vectors, out goes what has
//! moved and for how many looks in a row. A look at the same records as before says nothing and does not count.

use crate::config::ValidConfig;
use crate::error::Error;
use crate::sample::Sample;
use portrait_learning::{Adwin, Model, PSI_ROWS_MIN, assign};
use portrait_profile::{FeatureSchema, ModelVersion, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::{ComponentDrift, DriftStatus};

/// How sure the detector of changed distances must be (Bifet and Gavaldà 2007).
const DELTA: f64 = 0.002;
/// Distances of one look that the detector hears of.
const DISTANCES: usize = 1000;

/// What is known of drift.
pub(crate) struct Watch {
    /// The model that it is about.
    version: Option<ModelVersion>,
    distances: Adwin,
    status: Option<DriftStatus>,
}

impl Watch {
    /// Nothing seen yet.
    pub(crate) fn new() -> Self {
        Self { version: None, distances: Adwin::new(DELTA), status: None }
    }

    /// Takes a look at `sample`, and says what is known now.
    pub(crate) fn look(
        &mut self,
        model: &Model,
        sample: &Sample,
        at: Timestamp,
    ) -> Result<&DriftStatus, Error> {
        if self.version != Some(model.version) {
            *self = Self { version: Some(model.version), ..Self::new() };
        }
        let rows = model.scaler.scale(sample.rows());
        let components = FeatureSchema::current().components();
        let found = model.baseline.psi(rows.view(), PSI_ROWS_MIN.min(sample.len()))?;
        let enough = sample.len() >= PSI_ROWS_MIN;
        let moved = found.iter().zip(components).filter(|(drift, _)| drift.alarm && enough);
        let mut moved: Vec<ComponentDrift> = moved
            .map(|(drift, component)| ComponentDrift {
                name: component.name.clone(),
                psi: drift.psi,
                critical: drift.critical,
            })
            .collect();
        moved.sort_by(|one, other| other.psi.total_cmp(&one.psi));
        let (_, squared) = assign(rows.view(), model.centroids());
        let mut distances_changed = false;
        for squared in squared.iter().take(DISTANCES) {
            distances_changed |= self.distances.update(f64::from(squared.sqrt()));
        }
        let found_drift = !moved.is_empty() || distances_changed;
        let before = self.status.as_ref().map_or(0, |status| status.windows);
        let windows = if found_drift { before.saturating_add(1) } else { 0 };
        Ok(self.status.insert(DriftStatus {
            at: Some(time::to_wire(at)),
            rows: sample.len() as u64,
            components: moved,
            distances_changed,
            windows,
        }))
    }

    /// Whether drift has lasted long enough for a training.
    pub(crate) fn persists(&self, version: ModelVersion, config: &ValidConfig) -> bool {
        self.version == Some(version)
            && self.status.as_ref().is_some_and(|status| status.windows >= config.drift_windows)
    }
}

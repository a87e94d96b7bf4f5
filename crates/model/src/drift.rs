//! Whether the shoppers have changed since the served model was made. In come vectors of some shoppers, look by look; out goes
//! what has moved and for how many looks in a row. Pure: whoever looks says at what, and when.
//!
//! Two things are watched. Who the shoppers are: each component that forgets within weeks, by population stability against
//! those that the model was made from. And whether they do what they used to: the constancy of those who came since the look
//! before, by an adaptive window, which sees a tenth of them take up other habits long before any distribution has moved.

use crate::error::Error;
use ndarray::ArrayView2;
use portrait_learning::{Adwin, Baseline, Lately};
use portrait_profile::{FeatureSchema, ModelVersion, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::{ComponentDrift, DriftStatus, HabitDrift};

/// How sure the window of habits must be (Bifet and Gavaldà 2007).
const DELTA: f64 = 0.002;

/// What is known of drift.
#[derive(Debug)]
pub struct Watch {
    /// How many shoppers who came lately a look takes at least before it says that a component has moved.
    rows_min: usize,
    /// The model that `windows` is about.
    version: Option<ModelVersion>,
    /// Goes on from model to model: what shoppers do does not depend on one.
    habits: Adwin,
    /// Since that model.
    changed: Option<HabitDrift>,
    looked_at: Option<Timestamp>,
    windows: u32,
}

impl Watch {
    /// Nothing seen yet.
    pub fn new(rows_min: usize) -> Self {
        Self {
            rows_min,
            version: None,
            habits: Adwin::new(DELTA),
            changed: None,
            looked_at: None,
            windows: 0,
        }
    }

    /// Takes a look at raw vectors, one row a shopper, that were read at `at`, while a model is served that was made from rows of
    /// `baseline`; says what is known now.
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn look(
        &mut self,
        version: ModelVersion,
        baseline: Option<&Baseline>,
        raw: ArrayView2<f32>,
        at: Timestamp,
    ) -> Result<DriftStatus, Error> {
        if self.version != Some(version) {
            (self.version, self.changed, self.windows) = (Some(version), None, 0);
        }
        let components = self.moved(baseline, raw)?;
        self.listen(raw, at);
        let found = !components.is_empty() || self.changed.is_some();
        self.windows = if found { self.windows.saturating_add(1) } else { 0 };
        Ok(DriftStatus {
            at: Some(time::to_wire(at)),
            rows: raw.nrows() as u64,
            components,
            habits: self.changed,
            windows: self.windows,
        })
    }

    /// The components that have moved, greatest first.
    fn moved(&self, baseline: Option<&Baseline>, raw: ArrayView2<f32>) -> Result<Vec<ComponentDrift>, Error> {
        let lately = Lately::current();
        let rows = lately.rows(raw);
        let Some(baseline) = baseline.filter(|_| rows.nrows() >= self.rows_min.max(1)) else {
            return Ok(Vec::new());
        };
        let components = FeatureSchema::current().components();
        let found = baseline.psi(rows.view(), self.rows_min)?;
        let mut moved: Vec<ComponentDrift> = found
            .iter()
            .zip(lately.components())
            .filter(|(drift, _)| drift.alarm)
            .map(|(drift, place)| ComponentDrift {
                name: components[place].name.clone(),
                psi: drift.psi,
                critical: drift.critical,
            })
            .collect();
        moved.sort_by(|one, other| other.psi.total_cmp(&one.psi));
        Ok(moved)
    }

    /// Hears what those did who came since the look before. The first look only says since when.
    fn listen(&mut self, raw: ArrayView2<f32>, at: Timestamp) {
        let Some(before) = self.looked_at.replace(at) else { return };
        let mean = self.habits.mean();
        let mut noticed = false;
        for constancy in Lately::current().habits(raw, at.since(before).as_days_f64()) {
            noticed |= self.habits.update(constancy);
        }
        if noticed {
            let since =
                self.changed.map_or((mean, Some(time::to_wire(at))), |one| (one.before, one.noticed_at));
            self.changed = Some(HabitDrift { before: since.0, now: 0.0, noticed_at: since.1 });
        }
        if let Some(changed) = &mut self.changed {
            changed.now = self.habits.mean();
        }
    }
}

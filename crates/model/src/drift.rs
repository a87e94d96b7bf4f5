//! Whether the shoppers have changed since the served model was made. In come vectors of some shoppers, look by look; out goes
//! what has moved and for how many looks in a row. Pure: whoever looks says at what, and when.
//!
//! Two things are watched. Who the shoppers are: each component that forgets within weeks, by population stability against
//! those that the model was made from. And whether they do what they used to: the constancy of those who came since the look
//! before, by an adaptive window: if some take up the habits of others, everybody together looks as before, and only this tells.

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

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// Shoppers who came today, `constant` in a hundred of them where they always are.
    fn shoppers(constant: usize) -> Array2<f32> {
        let schema = FeatureSchema::current();
        let mut rows = Array2::zeros((500, schema.components().len()));
        let place = |name: &str| schema.position(name).expect("a component");
        for (number, mut row) in rows.outer_iter_mut().enumerate() {
            row[place("preference.category_count")] = 1.0;
            // Mixed, as the window hears them one after the other.
            row[place("preference.constancy")] = f32::from(u8::from(number * 37 % 100 < constant));
            row[place("behavior.view.7d")] = (number % 40) as f32;
        }
        rows
    }

    fn look(watch: &mut Watch, version: u64, rows: &Array2<f32>, day: i64) -> DriftStatus {
        let baseline = Lately::current().baseline(shoppers(60).view());
        let version = ModelVersion::new(version).expect("a version");
        let at = Timestamp::from_millis(day * 86_400_000);
        watch.look(version, baseline.as_ref(), rows.view(), at).expect("finite rows")
    }

    #[test]
    fn other_habits_are_noticed_and_last_until_a_model_knows_them() {
        let mut watch = Watch::new(100);
        for day in 0..10 {
            assert_eq!(look(&mut watch, 1, &shoppers(60), day).windows, 0, "day {day}: nothing has changed");
        }
        let noticed = look(&mut watch, 1, &shoppers(30), 10);
        let habits = noticed.habits.expect("half of the constant ones are elsewhere");
        assert!((habits.before - 0.6).abs() < 0.05 && habits.now < 0.5, "{habits:?}");
        assert_eq!((noticed.windows, noticed.components.len()), (1, 0));
        let lasting = look(&mut watch, 1, &shoppers(30), 11);
        assert_eq!((lasting.windows, lasting.habits.and_then(|one| one.noticed_at)), (2, habits.noticed_at));
        assert_eq!(look(&mut watch, 2, &shoppers(30), 12).windows, 0, "the new model was made from them");
    }

    #[test]
    fn a_component_that_moved_is_named_if_enough_came_lately() {
        let mut moved = shoppers(60);
        let place = FeatureSchema::current().position("behavior.view.7d").expect("a component");
        moved.column_mut(place).mapv_inplace(|views| views * 8.0);
        for (rows_min, named) in [(100, 1), (501, 0)] {
            let found = look(&mut Watch::new(rows_min), 1, &moved, 0);
            assert_eq!((found.components.len(), found.windows as usize), (named, named), "{found:?}");
            assert!(found.components.iter().all(|one| one.name == "behavior.view.7d"));
        }
    }
}

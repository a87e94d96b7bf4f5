//! Whether the shoppers have changed since the served model was made. In come some shoppers, look by look; out goes what has
//! moved and for how many looks in a row. Pure: whoever looks says at whom, and when.
//!
//! Three things are watched. Who the shoppers are: each component that forgets within weeks, by population stability against
//! those that the model was made from. What they come for: the share of each category in what they did last, against the same.
//! And whether they do what they used to: the constancy of those who came since the look before, by an adaptive window: if some
//! take up the habits of others, everybody together looks as before, and only this tells.

use crate::error::Error;
use ndarray::ArrayView2;
use portrait_learning::drift::{Adwin, Baseline, Lately, Reference, Seen};
use portrait_profile::{FeatureSchema, ModelVersion, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::{CategoryDrift, ComponentDrift, DriftStatus, HabitDrift};

/// How sure the window of habits must be (Bifet and Gavaldà 2007).
const DELTA: f64 = 0.002;
/// The least change of constancy that is worth an alarm: with enough shoppers the window is sure of any trifle.
const CONSTANCY_MIN: f64 = 0.03;

/// What is known of drift.
#[derive(Debug)]
pub struct Watch {
    /// How many shoppers who came lately a look takes at least before it says that a component has moved.
    rows_min: usize,
    /// The model that `windows` is about.
    version: Option<ModelVersion>,
    /// Goes on from model to model: what shoppers do does not depend on one.
    habits: Adwin,
    /// The mean of constancy before the window first was sure of a change since that model.
    constancy_before: Option<f64>,
    /// That change, once it is worth an alarm.
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
            constancy_before: None,
            changed: None,
            looked_at: None,
            windows: 0,
        }
    }

    /// Takes a look at shoppers whose vectors were read at `at`, while a model is served that was made from those of `reference`;
    /// says what is known now.
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn look(
        &mut self,
        version: ModelVersion,
        reference: &Reference,
        seen: &Seen<'_>,
        at: Timestamp,
    ) -> Result<DriftStatus, Error> {
        if self.version != Some(version) {
            (self.version, self.windows) = (Some(version), 0);
            (self.constancy_before, self.changed) = (None, None);
        }
        let components = self.moved(reference.components.as_ref(), seen.raw)?;
        let categories = come_for(reference, seen);
        self.listen(seen.raw, at);
        let found = !components.is_empty() || !categories.is_empty() || self.changed.is_some();
        self.windows = if found { self.windows.saturating_add(1) } else { 0 };
        Ok(DriftStatus {
            at: Some(time::to_wire(at)),
            rows: seen.raw.nrows() as u64,
            components,
            categories,
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
        let mut sure = false;
        for constancy in Lately::current().habits(raw, at.since(before).as_days_f64()) {
            sure |= self.habits.update(constancy);
        }
        if sure {
            self.constancy_before.get_or_insert(mean);
        }
        let now = self.habits.mean();
        match (&mut self.changed, self.constancy_before) {
            (Some(changed), _) => changed.now = now,
            (none, Some(before)) if (now - before).abs() >= CONSTANCY_MIN => {
                *none = Some(HabitDrift { before, now, noticed_at: Some(time::to_wire(at)) });
            }
            _ => {}
        }
    }
}

/// The categories that others come for than did, the surest first.
fn come_for(reference: &Reference, seen: &Seen<'_>) -> Vec<CategoryDrift> {
    let moved = reference.categories.moved(&Lately::current().categories(seen)).into_iter();
    moved.map(|one| CategoryDrift { name: one.name, before: one.before, now: one.now, z: one.z }).collect()
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
        look_at(watch, version, &seen(rows, 5), day)
    }

    /// `shoes` in a hundred came for shoes.
    fn seen(rows: &Array2<f32>, shoes: usize) -> Seen<'_> {
        let latest = (0..rows.nrows()).map(|number| if number % 100 < shoes { "shoes" } else { "books" });
        Seen { raw: rows.view(), latest: latest.map(Some).collect() }
    }

    fn look_at(watch: &mut Watch, version: u64, now: &Seen<'_>, day: i64) -> DriftStatus {
        let before = shoppers(60);
        let reference = Lately::current().reference(&seen(&before, 5));
        let version = ModelVersion::new(version).expect("a version");
        let at = Timestamp::from_millis(day * 86_400_000);
        watch.look(version, &reference, now, at).expect("finite rows")
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
        for day in 13..60 {
            assert_eq!(
                look(&mut watch, 2, &shoppers(32), day).windows,
                0,
                "day {day}: sure in the end, but a trifle"
            );
        }
    }

    #[test]
    fn a_category_that_others_come_for_is_named_for_as_long_as_they_do() {
        let (mut watch, rows) = (Watch::new(100), shoppers(60));
        assert_eq!(look_at(&mut watch, 1, &seen(&rows, 6), 0).windows, 0, "a trifle");
        for windows in 1..4 {
            let status = look_at(&mut watch, 1, &seen(&rows, 15), windows.into());
            assert_eq!(status.windows, windows);
            // One of two categories has twice its share, the other has lost a tenth.
            let [moved] = &status.categories[..] else { panic!("{:?}", status.categories) };
            assert_eq!((&*moved.name, moved.before, moved.now), ("shoes", 0.05, 0.15));
            assert!(status.components.is_empty() && status.habits.is_none());
        }
        assert_eq!(look_at(&mut watch, 1, &seen(&rows, 5), 4).windows, 0, "as before");
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

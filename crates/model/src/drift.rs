//! Drift monitor: changes of the users since the served model was trained. Input: a sample of users per check.
//! Output: the drifted features and the number of consecutive checks with drift. Pure: the caller draws the sample
//! and passes the time.
//!
//! Three signals are monitored. Feature distributions: the population stability index of each component with a
//! half-life of weeks, against the training sample. Category demand: the share of each category among the latest
//! actions, against the same. Behavior: ADWIN over the loyalty of users active since the last check. If users swap
//! habits, both distributions stay the same and only loyalty shows it.

use crate::error::Error;
use ndarray::ArrayView2;
use portrait_learning::drift::{Adwin, Baseline, DriftFeatures, DriftReference, DriftSample};
use portrait_profile::{FeatureSchema, ModelVersion, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::{CategoryDrift, ComponentDrift, DriftStatus, LoyaltyDrift};

/// Confidence parameter of ADWIN (Bifet and Gavaldà 2007, "Learning from time-changing data with adaptive
/// windowing").
const DELTA: f64 = 0.002;
/// Smallest change of mean loyalty that raises an alarm: with enough users ADWIN detects differences of no
/// consequence.
const CONSTANCY_MIN: f64 = 0.03;

/// State of the drift monitor across checks.
#[derive(Debug)]
pub struct Watch {
    /// Minimum number of recently active users in a sample before a component can be reported as drifted.
    rows_min: usize,
    /// Model that the state below refers to.
    version: Option<ModelVersion>,
    /// ADWIN over loyalty; kept across models, since behavior does not depend on one.
    habits: Adwin,
    /// Mean loyalty before ADWIN first detected a change since the current model.
    constancy_before: Option<f64>,
    /// Detected change, once it exceeds `LOYALTY_CHANGE_MIN`.
    changed: Option<LoyaltyDrift>,
    looked_at: Option<Timestamp>,
    windows: u32,
}

impl Watch {
    /// Creates a monitor without observations.
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

    /// Checks a sample read at `at` against `reference`, the training sample of the served model.
    ///
    /// # Errors
    /// Returns an error if a value is not finite.
    pub fn look(
        &mut self,
        version: ModelVersion,
        reference: &DriftReference,
        seen: &DriftSample<'_>,
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
            checked_at: Some(time::to_wire(at)),
            rows: seen.raw.nrows() as u64,
            components,
            categories,
            loyalty: self.changed,
            consecutive_checks: self.windows,
        })
    }

    /// Returns the drifted components, largest PSI first.
    fn moved(&self, baseline: Option<&Baseline>, raw: ArrayView2<f32>) -> Result<Vec<ComponentDrift>, Error> {
        let lately = DriftFeatures::current();
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

    /// Feeds ADWIN the loyalty of users active since the last check. The first check only sets the start time.
    fn listen(&mut self, raw: ArrayView2<f32>, at: Timestamp) {
        let Some(before) = self.looked_at.replace(at) else { return };
        let mean = self.loyalty.mean();
        let mut sure = false;
        for constancy in DriftFeatures::current().loyalty(raw, at.since(before).as_days_f64()) {
            sure |= self.loyalty.update(constancy);
        }
        if sure {
            self.constancy_before.get_or_insert(mean);
        }
        let now = self.loyalty.mean();
        match (&mut self.changed, self.constancy_before) {
            (Some(changed), _) => changed.now = now,
            (none, Some(before)) if (now - before).abs() >= CONSTANCY_MIN => {
                *none = Some(LoyaltyDrift { before, now, detected_at: Some(time::to_wire(at)) });
            }
            _ => {}
        }
    }
}

/// Returns the categories whose share changed, most significant first.
fn come_for(reference: &DriftReference, seen: &DriftSample<'_>) -> Vec<CategoryDrift> {
    let moved = reference.categories.shifts(&DriftFeatures::current().categories(seen)).into_iter();
    moved.map(|one| CategoryDrift { name: one.name, before: one.before, now: one.now, z: one.z }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// Sample of 500 users active today, `loyal` percent of them loyal to one category.
    fn shoppers(constant: usize) -> Array2<f32> {
        let schema = FeatureSchema::current();
        let mut rows = Array2::zeros((500, schema.components().len()));
        let place = |name: &str| schema.position(name).expect("a component");
        for (number, mut row) in rows.outer_iter_mut().enumerate() {
            row[place("preference.category_count")] = 1.0;
            // Interleaved, since ADWIN reads them in order.
            row[place("preference.constancy")] = f32::from(u8::from(number * 37 % 100 < constant));
            row[place("behavior.view.7d")] = (number % 40) as f32;
        }
        rows
    }

    fn look(watch: &mut Watch, version: u64, rows: &Array2<f32>, day: i64) -> DriftStatus {
        look_at(watch, version, &seen(rows, 5), day)
    }

    /// Drift sample with `shoes` percent of the latest actions in shoes.
    fn seen(rows: &Array2<f32>, shoes: usize) -> DriftSample<'_> {
        let latest = (0..rows.nrows()).map(|number| if number % 100 < shoes { "shoes" } else { "books" });
        DriftSample { raw: rows.view(), latest_category: latest.map(Some).collect() }
    }

    fn look_at(watch: &mut Watch, version: u64, now: &DriftSample<'_>, day: i64) -> DriftStatus {
        let before = shoppers(60);
        let reference = DriftFeatures::current().reference(&seen(&before, 5));
        let version = ModelVersion::new(version).expect("a version");
        let at = Timestamp::from_millis(day * 86_400_000);
        watch.look(version, &reference, now, at).expect("finite rows")
    }

    #[test]
    fn a_change_of_loyalty_is_detected_and_lasts_until_a_new_model() {
        let mut watch = Watch::new(100);
        for day in 0..10 {
            assert_eq!(look(&mut watch, 1, &shoppers(60), day).consecutive_checks, 0, "day {day}: no change");
        }
        let noticed = look(&mut watch, 1, &shoppers(30), 10);
        let habits = noticed.loyalty.expect("half of the loyal users have switched");
        assert!((habits.before - 0.6).abs() < 0.05 && habits.now < 0.5, "{habits:?}");
        assert_eq!((noticed.consecutive_checks, noticed.components.len()), (1, 0));
        let lasting = look(&mut watch, 1, &shoppers(30), 11);
        assert_eq!((lasting.consecutive_checks, lasting.loyalty.and_then(|one| one.detected_at)), (2, habits.detected_at));
        assert_eq!(look(&mut watch, 2, &shoppers(30), 12).consecutive_checks, 0, "the new model was trained on them");
        for day in 13..60 {
            assert_eq!(
                look(&mut watch, 2, &shoppers(32), day).consecutive_checks,
                0,
                "day {day}: significant but below the minimum"
            );
        }
    }

    #[test]
    fn a_drifted_category_is_reported_as_long_as_its_share_differs() {
        let (mut watch, rows) = (Watch::new(100), shoppers(60));
        assert_eq!(look_at(&mut watch, 1, &seen(&rows, 6), 0).consecutive_checks, 0, "not significant");
        for windows in 1..4 {
            let status = look_at(&mut watch, 1, &seen(&rows, 15), windows.into());
            assert_eq!(status.consecutive_checks, windows);
            // Only shoes triples its share; books loses a tenth, which is not significant.
            let [moved] = &status.categories[..] else { panic!("{:?}", status.categories) };
            assert_eq!((&*moved.name, moved.before, moved.now), ("shoes", 0.05, 0.15));
            assert!(status.components.is_empty() && status.loyalty.is_none());
        }
        assert_eq!(look_at(&mut watch, 1, &seen(&rows, 5), 4).consecutive_checks, 0, "as before");
    }

    #[test]
    fn a_drifted_component_is_reported_if_enough_users_were_active() {
        let mut moved = shoppers(60);
        let place = FeatureSchema::current().position("behavior.view.7d").expect("a component");
        moved.column_mut(place).mapv_inplace(|views| views * 8.0);
        for (rows_min, named) in [(100, 1), (501, 0)] {
            let found = look(&mut Watch::new(rows_min), 1, &moved, 0);
            assert_eq!((found.components.len(), found.consecutive_checks as usize), (named, named), "{found:?}");
            assert!(found.components.iter().all(|one| one.name == "behavior.view.7d"));
        }
    }
}

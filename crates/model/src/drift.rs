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
const LOYALTY_CHANGE_MIN: f64 = 0.03;

/// State of the drift monitor across checks.
#[derive(Debug)]
pub struct DriftMonitor {
    /// Minimum number of recently active users in a sample before a component can be reported as drifted.
    rows_min: usize,
    /// Model that the state below refers to.
    version: Option<ModelVersion>,
    /// ADWIN over loyalty; kept across models, since behavior does not depend on one.
    loyalty: Adwin,
    /// Mean loyalty before ADWIN first detected a change since the current model.
    loyalty_before: Option<f64>,
    /// Detected change, once it exceeds `LOYALTY_CHANGE_MIN`.
    loyalty_shift: Option<LoyaltyDrift>,
    checked_at: Option<Timestamp>,
    consecutive_checks: u32,
}

impl DriftMonitor {
    /// Creates a monitor without observations.
    pub fn new(rows_min: usize) -> Self {
        Self {
            rows_min,
            version: None,
            loyalty: Adwin::new(DELTA),
            loyalty_before: None,
            loyalty_shift: None,
            checked_at: None,
            consecutive_checks: 0,
        }
    }

    /// Checks a sample read at `at` against `reference`, the training sample of the served model.
    ///
    /// # Errors
    /// Returns an error if a value is not finite.
    pub fn check(
        &mut self,
        version: ModelVersion,
        reference: &DriftReference,
        sample: &DriftSample<'_>,
        at: Timestamp,
    ) -> Result<DriftStatus, Error> {
        if self.version != Some(version) {
            // The reference is that of the new model, so findings against the old one no longer count.
            self.version = Some(version);
            self.consecutive_checks = 0;
            self.loyalty_before = None;
            self.loyalty_shift = None;
        }
        let components = self.shifts(reference.components.as_ref(), sample.raw)?;
        let categories = drifted_categories(reference, sample);
        self.observe(sample.raw, at);
        let found = !components.is_empty() || !categories.is_empty() || self.loyalty_shift.is_some();
        self.consecutive_checks = if found { self.consecutive_checks.saturating_add(1) } else { 0 };
        Ok(DriftStatus {
            checked_at: Some(time::to_wire(at)),
            rows: sample.raw.nrows() as u64,
            components,
            categories,
            loyalty: self.loyalty_shift,
            consecutive_checks: self.consecutive_checks,
        })
    }

    /// Returns the drifted components, largest PSI first.
    fn shifts(
        &self,
        baseline: Option<&Baseline>,
        raw: ArrayView2<f32>,
    ) -> Result<Vec<ComponentDrift>, Error> {
        let features = DriftFeatures::current();
        let rows = features.rows(raw);
        let Some(baseline) = baseline.filter(|_| rows.nrows() >= self.rows_min.max(1)) else {
            return Ok(Vec::new());
        };
        let components = FeatureSchema::current().components();
        let found = baseline.psi(rows.view(), self.rows_min)?;
        let mut drifted: Vec<ComponentDrift> = found
            .iter()
            .zip(features.components())
            .filter(|(drift, _)| drift.alarm)
            .map(|(drift, index)| ComponentDrift {
                name: components[index].name.clone(),
                psi: drift.psi,
                critical: drift.critical,
            })
            .collect();
        drifted.sort_by(|one, other| other.psi.total_cmp(&one.psi));
        Ok(drifted)
    }

    /// Feeds ADWIN the loyalty of users active since the last check. The first check only sets the start time.
    fn observe(&mut self, raw: ArrayView2<f32>, at: Timestamp) {
        let Some(before) = self.checked_at.replace(at) else { return };
        let mean = self.loyalty.mean();
        let mut change_detected = false;
        for loyalty in DriftFeatures::current().loyalty(raw, at.since(before).as_days_f64()) {
            change_detected |= self.loyalty.update(loyalty);
        }
        if change_detected {
            // ADWIN has already dropped the old window: the mean before it is kept here.
            self.loyalty_before.get_or_insert(mean);
        }
        let now = self.loyalty.mean();
        match (&mut self.loyalty_shift, self.loyalty_before) {
            (Some(shift), _) => shift.now = now,
            (none, Some(before)) if (now - before).abs() >= LOYALTY_CHANGE_MIN => {
                *none = Some(LoyaltyDrift { before, now, detected_at: Some(time::to_wire(at)) });
            }
            _ => {}
        }
    }
}

/// Returns the categories whose share changed, most significant first.
fn drifted_categories(reference: &DriftReference, sample: &DriftSample<'_>) -> Vec<CategoryDrift> {
    let shifts = reference.categories.shifts(&DriftFeatures::current().categories(sample)).into_iter();
    shifts.map(|one| CategoryDrift { name: one.name, before: one.before, now: one.now, z: one.z }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// Sample of 500 users active today, `loyal` percent of them loyal to one category.
    fn users(loyal: usize) -> Array2<f32> {
        let schema = FeatureSchema::current();
        let mut rows = Array2::zeros((500, schema.components().len()));
        let column = |name: &str| schema.position(name).expect("a component");
        for (number, mut row) in rows.outer_iter_mut().enumerate() {
            row[column("preference.category_count")] = 1.0;
            // Interleaved, since ADWIN reads them in order.
            row[column("preference.constancy")] = f32::from(u8::from(number * 37 % 100 < loyal));
            row[column("behavior.view.7d")] = (number % 40) as f32;
        }
        rows
    }

    fn check(monitor: &mut DriftMonitor, version: u64, rows: &Array2<f32>, day: i64) -> DriftStatus {
        check_sample(monitor, version, &sample(rows, 5), day)
    }

    /// Drift sample with `shoes` percent of the latest actions in shoes.
    fn sample(rows: &Array2<f32>, shoes: usize) -> DriftSample<'_> {
        let latest = (0..rows.nrows()).map(|number| if number % 100 < shoes { "shoes" } else { "books" });
        DriftSample { raw: rows.view(), latest_category: latest.map(Some).collect() }
    }

    fn check_sample(
        monitor: &mut DriftMonitor,
        version: u64,
        now: &DriftSample<'_>,
        day: i64,
    ) -> DriftStatus {
        let before = users(60);
        let reference = DriftFeatures::current().reference(&sample(&before, 5));
        let version = ModelVersion::new(version).expect("a version");
        let at = Timestamp::from_millis(day * 86_400_000);
        monitor.check(version, &reference, now, at).expect("finite rows")
    }

    #[test]
    fn a_change_of_loyalty_is_detected_and_lasts_until_a_new_model() {
        let mut monitor = DriftMonitor::new(100);
        for day in 0..10 {
            assert_eq!(check(&mut monitor, 1, &users(60), day).consecutive_checks, 0, "day {day}: no change");
        }
        let detected = check(&mut monitor, 1, &users(30), 10);
        let loyalty = detected.loyalty.expect("half of the loyal users have switched");
        assert!((loyalty.before - 0.6).abs() < 0.05 && loyalty.now < 0.5, "{loyalty:?}");
        assert_eq!((detected.consecutive_checks, detected.components.len()), (1, 0));
        let lasting = check(&mut monitor, 1, &users(30), 11);
        assert_eq!(
            (lasting.consecutive_checks, lasting.loyalty.and_then(|one| one.detected_at)),
            (2, loyalty.detected_at)
        );
        assert_eq!(
            check(&mut monitor, 2, &users(30), 12).consecutive_checks,
            0,
            "the new model was trained on them"
        );
        for day in 13..60 {
            assert_eq!(
                check(&mut monitor, 2, &users(32), day).consecutive_checks,
                0,
                "day {day}: significant but below the minimum"
            );
        }
    }

    #[test]
    fn a_drifted_category_is_reported_as_long_as_its_share_differs() {
        let mut monitor = DriftMonitor::new(100);
        let rows = users(60);
        assert_eq!(
            check_sample(&mut monitor, 1, &sample(&rows, 6), 0).consecutive_checks,
            0,
            "not significant"
        );
        for checks in 1..4 {
            let status = check_sample(&mut monitor, 1, &sample(&rows, 15), checks.into());
            assert_eq!(status.consecutive_checks, checks);
            // Only shoes triples its share; books loses a tenth, which is not significant.
            let [drifted] = &status.categories[..] else { panic!("{:?}", status.categories) };
            assert_eq!((&*drifted.name, drifted.before, drifted.now), ("shoes", 0.05, 0.15));
            assert!(status.components.is_empty() && status.loyalty.is_none());
        }
        assert_eq!(check_sample(&mut monitor, 1, &sample(&rows, 5), 4).consecutive_checks, 0, "as before");
    }

    #[test]
    fn a_drifted_component_is_reported_if_enough_users_were_active() {
        let mut moved = users(60);
        let column = FeatureSchema::current().position("behavior.view.7d").expect("a component");
        moved.column_mut(column).mapv_inplace(|views| views * 8.0);
        for (rows_min, reported) in [(100, 1), (501, 0)] {
            let found = check(&mut DriftMonitor::new(rows_min), 1, &moved, 0);
            assert_eq!(
                (found.components.len(), found.consecutive_checks as usize),
                (reported, reported),
                "{found:?}"
            );
            assert!(found.components.iter().all(|one| one.name == "behavior.view.7d"));
        }
    }
}

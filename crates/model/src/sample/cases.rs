//! Training examples of the scorers: earlier feature snapshots of users and their outcomes. Input: the snapshots of
//! one user after another. Output: one set of rows per target, oldest first; memory is bounded.

use super::bounded::Bounded;
use ndarray::Array2;
use portrait_profile::{ScoreTarget, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::FeatureSnapshot;

/// Collector of examples, one bottom-k sample per target.
#[derive(Debug)]
pub(super) struct Gathered {
    propensity: Bounded<Case>,
    risk: Bounded<Case>,
}

/// Feature snapshot with its label.
#[derive(Debug)]
struct Case {
    at: Timestamp,
    values: Vec<f32>,
    happened: bool,
}

/// Examples by target.
#[derive(Debug, Default)]
pub(crate) struct Cases {
    pub(crate) propensity: Labelled,
    pub(crate) risk: Labelled,
}

/// Labelled rows (`n x d` and `n` labels), oldest first.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Labelled {
    pub(crate) values: Array2<f32>,
    pub(crate) happened: Vec<bool>,
}

impl Cases {
    /// Returns the examples of a target.
    pub(crate) fn of(&self, target: ScoreTarget) -> &Labelled {
        match target {
            ScoreTarget::Propensity => &self.propensity,
            ScoreTarget::Risk => &self.risk,
        }
    }
}

impl Gathered {
    /// Creates a collector of at most `examples_max` per target; 0 collects none.
    pub(super) fn begin(cases_max: usize) -> Self {
        Self { propensity: Bounded::new(cases_max), risk: Bounded::new(cases_max) }
    }

    /// Adds the labelled snapshots of a user; snapshots of another width are left out.
    pub(super) fn take(&mut self, hash: u64, moments: Vec<FeatureSnapshot>, width: usize) {
        for moment in moments.into_iter().filter(|moment| moment.values.len() == width) {
            let at = moment.at.and_then(|at| time::from_wire(&at).ok()).unwrap_or(Timestamp::EPOCH);
            let (cases, label) = if moment.is_order {
                (&mut self.risk, moment.risk)
            } else {
                (&mut self.propensity, moment.purchased_within_7_days)
            };
            if let Some(happened) = label {
                cases.take(hash, Case { at, values: moment.values, happened });
            }
        }
    }

    pub(super) fn finish(self, width: usize) -> Cases {
        Cases { propensity: labelled(self.propensity, width), risk: labelled(self.risk, width) }
    }
}

fn labelled(cases: Bounded<Case>, width: usize) -> Labelled {
    let mut cases: Vec<Case> = cases.finish().into_iter().map(|(_, case)| case).collect();
    // Stable sort: examples of equal time stay in hash order, which keeps trainings reproducible. Time order lets the
    // learner validate on the newest examples.
    cases.sort_by_key(|case| case.at);
    let happened = cases.iter().map(|case| case.happened).collect();
    let rows = cases.len();
    let values = cases.into_iter().flat_map(|case| case.values).collect();
    let values = Array2::from_shape_vec((rows, width), values).expect("every case has the width");
    Labelled { values, happened }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: i64, order: bool, label: Option<bool>) -> FeatureSnapshot {
        let at = Some(time::to_wire(Timestamp::from_millis(seconds * 1000)));
        let values = vec![seconds as f32];
        FeatureSnapshot { at, values, is_order: order, purchased_within_7_days: label.filter(|_| !order), risk: label.filter(|_| order) }
    }

    #[test]
    fn examples_are_oldest_first_and_only_of_labelled_snapshots() {
        let mut gathered = Gathered::begin(100);
        gathered.take(5, vec![moment(30, false, Some(true)), moment(40, false, None)], 1);
        gathered.take(9, vec![moment(10, false, Some(false)), moment(20, true, Some(true))], 1);
        gathered.take(2, vec![moment(7, true, None)], 1);
        gathered.take(1, vec![moment(1, false, Some(true))], 2);
        let cases = gathered.finish(1);
        let propensity = cases.of(ScoreTarget::Propensity);
        assert_eq!(
            (propensity.values.as_slice(), &*propensity.happened),
            (Some(&[10.0, 30.0][..]), &[false, true][..])
        );
        assert_eq!(cases.of(ScoreTarget::Risk).happened, [true]);
    }
}

//! Training examples of the scorers: earlier feature snapshots of users and their outcomes. Input: the snapshots of
//! one user after another. Output: one set of rows per target, oldest first; memory is bounded.

use super::bottom_k::BottomKSample;
use super::limits::LimitCount;
use ndarray::Array2;
use portrait_profile::{ScoreTarget, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::FeatureSnapshot;

/// Collector of examples, one bottom-k sample per target.
#[derive(Debug)]
pub(super) struct ExampleCollector {
    propensity: BottomKSample<Example>,
    risk: BottomKSample<Example>,
    propensity_found: u64,
    risk_found: u64,
}

/// Feature snapshot with its label.
#[derive(Debug)]
struct Example {
    at: Timestamp,
    values: Vec<f32>,
    label: bool,
}

/// Examples of both score targets.
#[derive(Debug, Default)]
pub(crate) struct ExampleSets {
    pub(crate) propensity: LabelledSet,
    pub(crate) risk: LabelledSet,
}

/// Labelled rows (`n x d` and `n` labels), oldest first.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct LabelledSet {
    pub(crate) values: Array2<f32>,
    pub(crate) labels: Vec<bool>,
    /// Labelled examples in the sample, and in the stream.
    pub(crate) count: LimitCount,
}

impl ExampleSets {
    /// Returns the examples of a target.
    pub(crate) fn of(&self, target: ScoreTarget) -> &LabelledSet {
        match target {
            ScoreTarget::Propensity => &self.propensity,
            ScoreTarget::Risk => &self.risk,
        }
    }
}

impl ExampleCollector {
    /// Creates a collector of at most `examples_max` per target; 0 collects none.
    pub(super) fn begin(examples_max: usize) -> Self {
        Self {
            propensity: BottomKSample::new(examples_max),
            risk: BottomKSample::new(examples_max),
            propensity_found: 0,
            risk_found: 0,
        }
    }

    /// Adds the labelled snapshots of a user; snapshots of another width are left out.
    pub(super) fn add(&mut self, hash: u64, snapshots: Vec<FeatureSnapshot>, width: usize) {
        for snapshot in snapshots.into_iter().filter(|snapshot| snapshot.values.len() == width) {
            let at = snapshot.at.and_then(|at| time::from_wire(&at).ok()).unwrap_or(Timestamp::EPOCH);
            let (examples, found, label) = if snapshot.is_order {
                (&mut self.risk, &mut self.risk_found, snapshot.risk)
            } else {
                (&mut self.propensity, &mut self.propensity_found, snapshot.purchased_within_7_days)
            };
            if let Some(label) = label {
                *found += 1;
                examples.insert(hash, Example { at, values: snapshot.values, label });
            }
        }
    }

    pub(super) fn finish(self, width: usize) -> ExampleSets {
        ExampleSets {
            propensity: labelled(self.propensity, width, self.propensity_found),
            risk: labelled(self.risk, width, self.risk_found),
        }
    }
}

fn labelled(examples: BottomKSample<Example>, width: usize, found: u64) -> LabelledSet {
    let mut examples: Vec<Example> = examples.finish().into_iter().map(|(_, example)| example).collect();
    // Stable sort: examples of equal time stay in hash order, which keeps trainings reproducible. Time order lets the
    // learner validate on the newest examples.
    examples.sort_by_key(|example| example.at);
    let labels = examples.iter().map(|example| example.label).collect();
    let rows = examples.len();
    let values = examples.into_iter().flat_map(|example| example.values).collect();
    let values = Array2::from_shape_vec((rows, width), values).expect("every example has the width");
    LabelledSet { values, labels, count: LimitCount { used: rows as u64, found } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(seconds: i64, order: bool, label: Option<bool>) -> FeatureSnapshot {
        let at = Some(time::to_wire(Timestamp::from_millis(seconds * 1000)));
        let values = vec![seconds as f32];
        FeatureSnapshot {
            at,
            values,
            is_order: order,
            purchased_within_7_days: label.filter(|_| !order),
            risk: label.filter(|_| order),
        }
    }

    #[test]
    fn examples_are_oldest_first_and_only_of_labelled_snapshots() {
        let mut collector = ExampleCollector::begin(100);
        collector.add(5, vec![snapshot(30, false, Some(true)), snapshot(40, false, None)], 1);
        collector.add(9, vec![snapshot(10, false, Some(false)), snapshot(20, true, Some(true))], 1);
        collector.add(2, vec![snapshot(7, true, None)], 1);
        collector.add(1, vec![snapshot(1, false, Some(true))], 2);
        let examples = collector.finish(1);
        let propensity = examples.of(ScoreTarget::Propensity);
        assert_eq!(
            (propensity.values.as_slice(), &*propensity.labels),
            (Some(&[10.0, 30.0][..]), &[false, true][..])
        );
        assert_eq!(examples.of(ScoreTarget::Risk).labels, [true]);
    }

    #[test]
    fn each_target_has_its_own_bound_and_loses_whole_users() {
        let mut collector = ExampleCollector::begin(100);
        for number in 0..2000_u64 {
            let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let seconds = 2000 - number as i64;
            collector.add(hash, vec![snapshot(seconds, false, Some(number % 2 == 0)); 2], 1);
            if number < 50 {
                collector.add(hash, vec![snapshot(seconds, true, Some(true))], 1);
            }
        }
        let examples = collector.finish(1);
        let times: Vec<f32> = examples.propensity.values.iter().copied().collect();
        assert!((30..=100).contains(&times.len()) && times.is_sorted(), "{times:?}");
        assert!(times.chunks(2).all(|pair| pair[0] == pair[1]), "both snapshots of a user, or none");
        assert_eq!(examples.risk.labels.len(), 50, "few orders all stay");
        let none = ExampleCollector::begin(0).finish(1);
        assert_eq!((none.of(ScoreTarget::Propensity).labels.len(), none.risk.values.ncols()), (0, 1));
    }
}

//! Earlier moments of shoppers and what came of them: what scores are learned from. In come moments of one shopper after the other,
//! out go rows of each target, oldest first; memory is bounded whatever comes.

use super::bounded::Bounded;
use ndarray::Array2;
use portrait_profile::{Target, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::Moment;

/// Cases in the making.
#[derive(Debug)]
pub(super) struct Gathered {
    propensity: Bounded<Case>,
    risk: Bounded<Case>,
}

/// A moment and whether it came about.
#[derive(Debug)]
struct Case {
    at: Timestamp,
    values: Vec<f32>,
    happened: bool,
}

/// The cases of each target.
#[derive(Debug, Default)]
pub(crate) struct Cases {
    pub(crate) propensity: Labelled,
    pub(crate) risk: Labelled,
}

/// Rows, oldest first, and whether each came about.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Labelled {
    pub(crate) values: Array2<f32>,
    pub(crate) happened: Vec<bool>,
}

impl Cases {
    /// Those of a target.
    pub(crate) fn of(&self, target: Target) -> &Labelled {
        match target {
            Target::Propensity => &self.propensity,
            Target::Risk => &self.risk,
        }
    }
}

impl Gathered {
    /// Of each target at most so many; none at 0.
    pub(super) fn begin(cases_max: usize) -> Self {
        Self { propensity: Bounded::new(cases_max), risk: Bounded::new(cases_max) }
    }

    /// Takes the moments of a shopper, vectors of a width.
    pub(super) fn take(&mut self, hash: u64, moments: Vec<Moment>, width: usize) {
        for moment in moments.into_iter().filter(|moment| moment.values.len() == width) {
            let at = moment.at.and_then(|at| time::from_wire(&at).ok()).unwrap_or(Timestamp::EPOCH);
            let (cases, label) = if moment.order {
                (&mut self.risk, moment.risk)
            } else {
                (&mut self.propensity, moment.bought)
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
    // Cases of one moment stay in the order of the shoppers' hashes.
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

    fn moment(seconds: i64, order: bool, label: Option<bool>) -> Moment {
        let at = Some(time::to_wire(Timestamp::from_millis(seconds * 1000)));
        let values = vec![seconds as f32];
        Moment { at, values, order, bought: label.filter(|_| !order), risk: label.filter(|_| order) }
    }

    #[test]
    fn cases_are_oldest_first_and_only_of_moments_whose_end_is_known() {
        let mut gathered = Gathered::begin(100);
        gathered.take(5, vec![moment(30, false, Some(true)), moment(40, false, None)], 1);
        gathered.take(9, vec![moment(10, false, Some(false)), moment(20, true, Some(true))], 1);
        gathered.take(2, vec![moment(7, true, None)], 1);
        gathered.take(1, vec![moment(1, false, Some(true))], 2);
        let cases = gathered.finish(1);
        let propensity = cases.of(Target::Propensity);
        assert_eq!(
            (propensity.values.as_slice(), &*propensity.happened),
            (Some(&[10.0, 30.0][..]), &[false, true][..])
        );
        assert_eq!(cases.of(Target::Risk).happened, [true]);
    }
}

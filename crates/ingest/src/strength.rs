//! Strengths of actions by the shop's own table. A record carries a strength only where it differs from the common one, so that a
//! rebuild does not depend on the configuration of that day.

use portrait_profile::{Action, ActionKind};
use portrait_runtime::config::InvalidValue;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Strengths are proportions: a larger range would let one action hide all others.
const RANGE: RangeInclusive<f32> = -10.0..=10.0;

/// Strengths that differ from the common ones, by kind of action.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Strengths([Option<f32>; ActionKind::ALL.len()]);

impl Strengths {
    /// Validates the names and the strengths.
    ///
    /// # Errors
    /// Fails for a name that is no action, and for a strength that is not within -10 to 10.
    pub(crate) fn new(table: &BTreeMap<String, f32>) -> Result<Self, InvalidValue> {
        let mut strengths = Self::default();
        for (name, strength) in table {
            let Some(kind) = ActionKind::ALL.into_iter().find(|kind| kind.name() == name) else {
                let names: Vec<&str> = ActionKind::ALL.iter().map(|kind| kind.name()).collect();
                let problem = format!("{name:?} is no action");
                return Err(InvalidValue::new(
                    "ingest.strength",
                    problem,
                    format!("write one of {}", names.join(", ")),
                ));
            };
            if !RANGE.contains(strength) {
                let problem = format!("{name} = {strength} is no strength");
                return Err(InvalidValue::new("ingest.strength", problem, "write a number from -10 to 10"));
            }
            let differs = f64::from(*strength) != kind.strength();
            strengths.0[kind.index()] = Some(*strength).filter(|_| differs);
        }
        Ok(strengths)
    }

    /// Returns the strength of an action; none if it is the common one.
    pub(crate) fn of(&self, action: &Action) -> Option<f32> {
        self.0[action.kind().index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_strength_that_differs_is_stamped() {
        let table = BTreeMap::from([("view".to_owned(), 1.0), ("share".to_owned(), 4.0)]);
        let strengths = Strengths::new(&table).expect("valid strengths");
        let stamped = [Action::View, Action::Share, Action::Purchase].map(|action| strengths.of(&action));
        assert_eq!(stamped, [None, Some(4.0), None]);
        for (name, strength) in [("wish", 1.0), ("view", 11.0), ("view", f32::NAN)] {
            assert!(
                Strengths::new(&BTreeMap::from([(name.to_owned(), strength)])).is_err(),
                "{name} {strength}"
            );
        }
    }
}

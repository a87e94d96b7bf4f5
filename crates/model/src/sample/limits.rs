//! Limits that left something out of a sample, for the report of a training.

use portrait_proto::v1::TrainingLimit;

/// Numbers that one limit let through and left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LimitCount {
    /// Number that the sample holds.
    pub(crate) used: u64,
    /// Number that the stream had.
    pub(crate) found: u64,
}

impl LimitCount {
    /// Counts one more that was found, and whether the sample holds it.
    pub(crate) fn count(&mut self, is_used: bool) {
        self.found += 1;
        self.used += u64::from(is_used);
    }

    /// Returns the line of the report; none if nothing was left out, or the part is disabled.
    pub(crate) fn report(self, name: &str, unit: &str) -> Option<TrainingLimit> {
        let is_cut = self.used > 0 && self.used < self.found;
        is_cut.then(|| TrainingLimit {
            name: name.to_owned(),
            unit: unit.to_owned(),
            used: self.used,
            found: self.found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_limit_that_left_something_out_is_reported() {
        for (used, found, is_reported) in [(0, 0, false), (5, 5, false), (4, 5, true), (0, 5, false)] {
            let line = LimitCount { used, found }.report("model.rows_max", "users");
            assert_eq!(line.is_some(), is_reported, "{used} of {found}");
        }
        let mut counted = LimitCount::default();
        counted.count(true);
        counted.count(false);
        assert_eq!(counted, LimitCount { used: 1, found: 2 });
    }
}

//! Unique ids of a simulated shop, derived from its seed and a counter.

/// Generator of ids that are unique within a shop.
#[derive(Debug)]
pub(super) struct Counter {
    seed: u64,
    given: u64,
}

impl Counter {
    pub(super) fn of_seed(seed: u64) -> Self {
        Self { seed, given: 0 }
    }

    /// Returns a new id that begins with `kind`.
    pub(super) fn next(&mut self, kind: &str) -> String {
        self.given += 1;
        // The seed is part of the id: events of two shops in one store do not count as duplicates.
        format!("{kind}{:x}-{}", self.seed, self.given)
    }
}

//! Ids of a simulated shop. In go a seed and a kind, out comes an id that no other event of that shop has.

/// Numbers everything that gets an id.
#[derive(Debug)]
pub(super) struct Counter {
    seed: u64,
    given: u64,
}

impl Counter {
    pub(super) fn of_seed(seed: u64) -> Self {
        Self { seed, given: 0 }
    }

    /// A new id that begins with `kind`.
    pub(super) fn next(&mut self, kind: &str) -> String {
        self.given += 1;
        format!("{kind}{:x}-{}", self.seed, self.given)
    }
}

//! Bottom-k sampling: a uniform sample of bounded size. Input: entries keyed by the hash of their user. Output: the
//! entries with the smallest hashes, in hash order, whatever order they arrive in.

/// Entries of the users with the smallest hashes.
#[derive(Debug)]
pub(super) struct Bounded<T> {
    most: usize,
    /// Largest hash that is still accepted.
    threshold: u64,
    kept: Vec<(u64, T)>,
}

impl<T> Bounded<T> {
    /// Creates a sample of at most `capacity` entries; with 0 it accepts none.
    pub(super) fn new(most: usize) -> Self {
        Self { most, threshold: u64::MAX, kept: Vec::new() }
    }

    /// Returns true if an entry with this hash would be accepted.
    pub(super) fn wants(&self, hash: u64) -> bool {
        self.most > 0 && hash <= self.threshold
    }

    /// Inserts an entry. Above capacity the threshold halves, which drops about half of the users.
    pub(super) fn take(&mut self, hash: u64, thing: T) {
        if !self.wants(hash) {
            return;
        }
        self.kept.push((hash, thing));
        while self.kept.len() > self.most {
            // Halving keeps or drops all entries of a user together. Dropping the single largest would cost a sort
            // per insert and split users with several entries.
            self.threshold /= 2;
            let threshold = self.threshold;
            self.kept.retain(|(hash, _)| *hash <= threshold);
        }
    }

    /// Number of entries.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Returns the entries in hash order; entries of one user keep their arrival order.
    pub(super) fn finish(mut self) -> Vec<(u64, T)> {
        self.kept.sort_by_key(|(hash, _)| *hash);
        self.kept
    }
}

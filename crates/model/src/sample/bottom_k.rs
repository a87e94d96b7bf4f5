//! Bottom-k sampling: a uniform sample of bounded size. Input: entries keyed by the hash of their user. Output: the
//! entries with the smallest hashes, in hash order, regardless of the order of arrival.

/// Entries of the users with the smallest hashes.
#[derive(Debug)]
pub(super) struct BottomKSample<T> {
    capacity: usize,
    /// Largest hash that is still accepted.
    threshold: u64,
    entries: Vec<(u64, T)>,
}

impl<T> BottomKSample<T> {
    /// Creates a sample of at most `capacity` entries; with 0 it accepts none.
    pub(super) fn new(most: usize) -> Self {
        Self { capacity: most, threshold: u64::MAX, entries: Vec::new() }
    }

    /// Returns true if an entry with this hash would be accepted.
    pub(super) fn accepts(&self, hash: u64) -> bool {
        self.capacity > 0 && hash <= self.threshold
    }

    /// Inserts an entry. Above capacity the threshold halves, which drops about half of the users.
    pub(super) fn insert(&mut self, hash: u64, entry: T) {
        if !self.accepts(hash) {
            return;
        }
        self.entries.push((hash, entry));
        while self.entries.len() > self.capacity {
            // Halving keeps or drops all entries of a user together. Dropping the single largest would cost a sort
            // per insert and split users with several entries.
            self.threshold /= 2;
            let threshold = self.threshold;
            self.entries.retain(|(hash, _)| *hash <= threshold);
        }
    }

    /// Number of entries held at the moment.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the entries in hash order; entries of one user keep their arrival order.
    pub(super) fn finish(mut self) -> Vec<(u64, T)> {
        self.entries.sort_by_key(|(hash, _)| *hash);
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh64::xxh64;

    /// Users of so many numbers, with a thing each.
    fn kept(most: usize, numbers: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
        let mut bounded = BottomKSample::new(most);
        for number in numbers {
            bounded.insert(xxh64(&number.to_le_bytes(), 0), number);
            assert!(bounded.len() <= most, "the bound holds at every moment");
        }
        bounded.finish()
    }

    #[test]
    fn as_many_as_fit_stay_and_never_more() {
        for (users, most, least) in [(100, 100, 100), (101, 100, 30), (10_000, 100, 30), (10_000, 0, 0)] {
            let count = kept(most, 0..users).len();
            assert!((least..=most).contains(&count), "{count} of {users}");
        }
    }

    #[test]
    fn who_stays_does_not_depend_on_the_order_in_which_they_come() {
        let sample = kept(500, 0..20_000);
        assert_eq!(sample, kept(500, (0..20_000).rev()));
        assert!(sample.is_sorted_by_key(|(hash, _)| *hash));
        let early = sample.iter().filter(|(_, number)| *number < 10_000).count();
        let share = early as f64 / sample.len() as f64;
        assert!((0.4..0.6).contains(&share), "{share} of the sample are of the first half");
    }

    #[test]
    fn things_of_one_user_stay_or_go_together_and_in_their_order() {
        let mut bounded = BottomKSample::new(4);
        for (hash, entry) in [(u64::MAX, 'a'), (7, 'b'), (u64::MAX, 'c'), (7, 'd'), (5, 'e')] {
            bounded.insert(hash, entry);
        }
        assert!(!bounded.accepts(u64::MAX) && bounded.accepts(7));
        bounded.insert(u64::MAX, 'f');
        assert_eq!(bounded.finish(), [(5, 'e'), (7, 'b'), (7, 'd')]);
    }
}

//! A fair sample of things of shoppers, of bounded size. In come things by the hash of their shopper, out go at most so many in the
//! order of the hashes: the same shoppers each time, whatever order they come in.

/// The things that stay.
#[derive(Debug)]
pub(super) struct Bounded<T> {
    most: usize,
    /// Whoever has a hash above it does not stay.
    threshold: u64,
    kept: Vec<(u64, T)>,
}

impl<T> Bounded<T> {
    /// At most so many things, of all shoppers who have one; of nobody at 0.
    pub(super) fn new(most: usize) -> Self {
        Self { most, threshold: u64::MAX, kept: Vec::new() }
    }

    /// Whether things of a shopper of that hash may stay.
    pub(super) fn wants(&self, hash: u64) -> bool {
        self.most > 0 && hash <= self.threshold
    }

    /// Takes a thing of a shopper; if they are too many now, half of the shoppers lose theirs.
    pub(super) fn take(&mut self, hash: u64, thing: T) {
        if !self.wants(hash) {
            return;
        }
        self.kept.push((hash, thing));
        while self.kept.len() > self.most {
            self.threshold /= 2;
            let threshold = self.threshold;
            self.kept.retain(|(hash, _)| *hash <= threshold);
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// What stayed, in the order of the hashes; things of one shopper as they came.
    pub(super) fn finish(mut self) -> Vec<(u64, T)> {
        self.kept.sort_by_key(|(hash, _)| *hash);
        self.kept
    }
}

//! Set of record ids. The ids are hashes already, so the set does not hash them again.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// Set of record ids, at 9 to 18 bytes an id.
pub type IdSet = HashSet<u64, BuildHasherDefault<IdentityHasher>>;

/// Hasher that returns the id itself.
#[derive(Default)]
pub struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Required by the trait; a set of `u64` calls `write_u64` only.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, id: u64) {
        // The table takes the bucket from the low bits and a tag from the top bits; the top bit of an id is always 0.
        self.0 = id.rotate_left(1);
    }
}

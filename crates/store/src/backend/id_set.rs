//! Sets of remembered ids, which are hashes already: nothing is hashed twice.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// Ids, at 9 to 18 bytes each.
pub type IdSet = HashSet<u64, BuildHasherDefault<Unchanged>>;

/// Takes an id for its hash.
#[derive(Default)]
pub struct Unchanged(u64);

impl Hasher for Unchanged {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, id: u64) {
        // The table takes the place from the low and a tag from the top bits; the top one of an id is always 0.
        self.0 = id.rotate_left(1);
    }
}

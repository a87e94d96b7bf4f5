//! Filter of record ids: a set that may report an id which was never inserted, at a fixed size.

/// Bits of an id in its block. 6 of 512 bits give the least false answers near 16 bits per id.
const BITS_PER_ID: u32 = 6;
/// Factor that spreads an id (2^64 / golden ratio): ids are hashes already, but of 63 bits, and the block takes the top ones.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Blocked Bloom filter (Putze, Sanders, Singler 2007): all bits of an id are in one line of the processor's cache, so that a
/// query costs one access to memory however large the filter is.
pub(super) struct IdFilter {
    blocks: Vec<[u64; 8]>,
}

/// Block and bits of an id.
struct IdBits {
    block: usize,
    masks: [u64; 8],
}

impl IdFilter {
    /// Returns an empty filter of about `bytes`.
    pub(super) fn new(bytes: usize) -> Self {
        Self { blocks: vec![[0; 8]; (bytes / size_of::<[u64; 8]>()).max(1)] }
    }

    /// Adds an id.
    pub(super) fn insert(&mut self, id: u64) {
        let IdBits { block, masks } = self.bits(id);
        for (word, mask) in self.blocks[block].iter_mut().zip(masks) {
            *word |= mask;
        }
    }

    /// Returns whether the id may have been inserted; false is certain.
    pub(super) fn may_contain(&self, id: u64) -> bool {
        let IdBits { block, masks } = self.bits(id);
        self.blocks[block].iter().zip(masks).all(|(word, mask)| word & mask == mask)
    }

    fn bits(&self, id: u64) -> IdBits {
        let spread = id.wrapping_mul(SPREAD);
        // The high half of the product maps the hash to a block without a division.
        let block = ((u128::from(spread) * self.blocks.len() as u128) >> 64) as usize;
        let mut masks = [0; 8];
        // Other bits than the block's: the low bits of a second product, 9 for each position in 512.
        let mut positions = (id ^ (id >> 32)).wrapping_mul(SPREAD);
        for _ in 0..BITS_PER_ID {
            masks[(positions >> 6 & 7) as usize] |= 1 << (positions & 63);
            positions >>= 9;
        }
        IdBits { block, masks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the `number`-th id, spread over 63 bits as hashes are.
    fn id(number: u64) -> u64 {
        let mut mixed = number.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 29)) >> 1
    }

    #[test]
    fn inserted_ids_are_always_reported_and_others_rarely() {
        let count = 100_000;
        let mut filter = IdFilter::new(2 * count as usize);
        (0..count).for_each(|number| filter.insert(id(number)));
        assert!((0..count).all(|number| filter.may_contain(id(number))));
        let wrong = (count..3 * count).filter(|number| filter.may_contain(id(*number))).count();
        // 0.2% of the 200,000 others; a filter that reports everything, or hashes badly, is far above.
        assert!(wrong < 1000, "{wrong}");
    }

    #[test]
    fn a_full_filter_still_reports_all_its_ids() {
        let mut filter = IdFilter::new(1);
        (0..1000).for_each(|number| filter.insert(id(number)));
        assert!((0..1000).all(|number| filter.may_contain(id(number))));
    }
}

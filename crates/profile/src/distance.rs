//! Distances between times as variable-length integers.

use crate::time::Timestamp;

/// Milliseconds of a second.
const SECOND: u64 = 1000;

/// Returns the distance from `earlier` to `later`, which is not before it, in seconds with the lowest bit 0 or in milliseconds with the lowest bit 1. Most
/// senders report whole seconds, whose distances are ten bits shorter. Beyond 292 million years the highest bit is lost.
pub(crate) fn between(later: Timestamp, earlier: Timestamp) -> u64 {
    // Wrapping, so that any pair of times is representable.
    let distance = later.millis().wrapping_sub(earlier.millis()).cast_unsigned();
    if distance.is_multiple_of(SECOND) { distance / SECOND * 2 } else { distance.wrapping_mul(2) | 1 }
}

/// Returns the time at `distance`, from [`between`], before `later`.
pub(crate) fn before(later: Timestamp, distance: u64) -> Timestamp {
    let half = distance / 2;
    // Wrapping, since damaged bytes may hold any number and must not panic.
    let millis = if distance.is_multiple_of(2) { half.wrapping_mul(SECOND) } else { half };
    Timestamp::from_millis(later.millis().wrapping_sub(millis.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::varint_bytes;

    #[test]
    fn a_distance_leads_back_to_the_time_and_is_short_for_whole_seconds() {
        let later = Timestamp::from_millis(1_700_000_000_123);
        for (millis, size) in [(0, 1), (1000, 1), (63_000, 1), (1, 1), (64, 2), (86_400_000, 3), (1 << 60, 9)]
        {
            let earlier = Timestamp::from_millis(later.millis() - millis);
            let distance = between(later, earlier);
            assert_eq!((before(later, distance), varint_bytes(distance)), (earlier, size), "{millis}");
        }
    }
}

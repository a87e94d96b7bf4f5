//! Stored data: bytes that decode are encoded identically, unless an older release wrote them; other bytes are refused. The first byte
//! selects the kind.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portrait_profile::{
    CatalogueItem, PartitionLedger, Profile, ProfileChange, Record, Timestamp, Tombstone,
};

/// 2026-01-01.
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Asserts that decoded data survives an encoding round trip.
macro_rules! kept {
    ($kind:ty, $bytes:expr) => {
        if let Ok(read) = <$kind>::decode($bytes) {
            let written = read.encode();
            let decoded = <$kind>::decode(&written).expect("a round trip");
            assert_eq!(decoded.encode(), written);
        }
    };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    match first % 6 {
        0 => kept!(Record, bytes),
        1 => kept!(ProfileChange, bytes),
        2 => kept!(PartitionLedger, bytes),
        3 => kept!(Tombstone, bytes),
        4 => kept!(CatalogueItem, bytes),
        _ => {
            kept!(Profile, bytes);
            // Every getter of a decoded profile must work.
            if let Ok(profile) = Profile::decode(bytes) {
                let _ = profile.view_at(NOW);
            }
        }
    }
});

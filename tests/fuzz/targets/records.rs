//! What is kept in the store: bytes that can be read are written as they were, unless an older release wrote them; others are
//! refused. The first byte says which kind.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portrait_profile::{
    CatalogueItem, PartitionLedger, Profile, ProfileChange, Record, Timestamp, Tombstone,
};

/// 2026-01-01.
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// What is read must be read again from what it is written as.
macro_rules! kept {
    ($kind:ty, $bytes:expr) => {
        if let Ok(read) = <$kind>::decode($bytes) {
            let written = read.encode();
            let again = <$kind>::decode(&written).expect("what was written");
            assert_eq!(again.encode(), written);
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
            // A profile that can be read can be looked at.
            if let Ok(profile) = Profile::decode(bytes) {
                let _ = profile.view_at(NOW);
            }
        }
    }
});

//! Tokens that clients return: forged tokens are refused, and accepted ones are encoded identically. Checksums are corrected, as an attacker
//! who knows the format could do. The first byte selects the token.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portrait_profile::PartitionCount;
use portrait_proto::receipt::Receipt;
use portrait_proto::token::ConsistencyToken;
use portrait_query::fuzzing::reads_resume_token;
use xxhash_rust::xxh64::xxh64;

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let mut summed = bytes.to_vec();
    summed.extend_from_slice(&xxh64(bytes, 0).to_be_bytes());
    for bytes in [bytes, &summed] {
        match first % 3 {
            0 => {
                let partitions = PartitionCount::new(u16::from(first / 3) + 1).expect("more than none");
                let _ = reads_resume_token(bytes, partitions);
            }
            1 => {
                if let Ok(token) = ConsistencyToken::decode(bytes) {
                    assert_eq!(ConsistencyToken::decode(&token.encode()).expect("a round trip"), token);
                }
            }
            _ => {
                if let Ok(receipt) = Receipt::decode(bytes) {
                    assert_eq!(Receipt::decode(&receipt.encode()).expect("a round trip"), receipt);
                }
            }
        }
    }
});

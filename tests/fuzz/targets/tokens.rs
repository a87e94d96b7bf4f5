//! Tokens that clients return: forged tokens are refused, and accepted ones are encoded identically. The bytes are
//! sealed, so that the decoders behind the seal are reached. The first byte selects the token.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portrait_profile::{PartitionCount, PseudonymKey};
use portrait_proto::receipt::Receipt;
use portrait_proto::token::ConsistencyToken;
use portrait_query::fuzzing::reads_resume_token;

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let key = PseudonymKey::new(7);
    for bytes in [bytes.to_vec(), key.seal(bytes.to_vec())] {
        match first % 3 {
            0 => {
                let partitions = PartitionCount::new(u16::from(first / 3) + 1).expect("more than none");
                let _ = reads_resume_token(&bytes, partitions);
            }
            1 => {
                if let Ok(token) = ConsistencyToken::decode(&bytes, key) {
                    assert_eq!(
                        ConsistencyToken::decode(&token.encode(key), key).expect("a round trip"),
                        token
                    );
                }
            }
            _ => {
                if let Ok(receipt) = Receipt::decode(&bytes, key) {
                    assert_eq!(Receipt::decode(&receipt.encode(key), key).expect("a round trip"), receipt);
                }
            }
        }
    }
});

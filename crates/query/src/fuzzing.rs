//! Entry points of the fuzz targets: resume tokens as an untrusted subscriber sends them.

use crate::watch::ResumeToken;
use portrait_profile::{PartitionCount, PseudonymKey};

/// Seals and decodes a token; a valid one must encode to the same token again.
///
/// # Panics
/// Panics if it does not.
pub fn reads_resume_token(bytes: &[u8], partitions: PartitionCount) -> bool {
    let key = PseudonymKey::new(7);
    let Ok(token) = ResumeToken::decode(&key.seal(bytes.to_vec()), partitions, key) else { return false };
    let encoded = ResumeToken::encode(token.shard, partitions, token.positions.clone().into_iter(), key);
    assert_eq!(ResumeToken::decode(&encoded, partitions, key), Ok(token));
    true
}

//! Entry points of the fuzz targets: resume tokens as an untrusted subscriber sends them.

use crate::watch::ResumeToken;
use portrait_profile::PartitionCount;

/// Decodes a token; a valid one must encode to the same token again.
///
/// # Panics
/// Panics if it does not.
pub fn reads_resume_token(bytes: &[u8], partitions: PartitionCount) -> bool {
    let Ok(token) = ResumeToken::decode(bytes, partitions) else { return false };
    let encoded = ResumeToken::encode(token.shard, partitions, token.positions.clone().into_iter());
    assert_eq!(ResumeToken::decode(&encoded, partitions), Ok(token));
    true
}

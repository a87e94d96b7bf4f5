//! What fuzz targets reach into: resume tokens as a subscriber might make them up.

use crate::watch::ResumeToken;
use portrait_profile::PartitionCount;

/// Reads a token; if it is one of a store of so many partitions, it must be written as the same bytes.
///
/// # Panics
/// If it is not.
pub fn reads_resume_token(bytes: &[u8], partitions: PartitionCount) -> bool {
    let Ok(token) = ResumeToken::decode(bytes, partitions) else { return false };
    let again = ResumeToken::encode(token.shard, partitions, token.places.clone().into_iter());
    assert_eq!(ResumeToken::decode(&again, partitions), Ok(token));
    true
}

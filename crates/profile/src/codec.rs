//! How the nouns become bytes and come back: one version byte, then postcard. Bytes of a newer version are refused with
//! the remedy, never guessed at; damaged bytes are an error, never a panic.

use serde::{Serialize, de::DeserializeOwned};

/// The version of an encoded [`crate::Record`].
pub(crate) const RECORD_VERSION: FormatVersion = FormatVersion(1);
/// The version of an encoded [`crate::Profile`].
pub(crate) const PROFILE_VERSION: FormatVersion = FormatVersion(1);
/// The version of an encoded [`crate::ProfileChange`].
pub(crate) const CHANGE_VERSION: FormatVersion = FormatVersion(1);
/// The version of an encoded [`crate::CatalogueItem`].
pub(crate) const ITEM_VERSION: FormatVersion = FormatVersion(1);

/// The leading byte of encoded bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FormatVersion(u8);

/// Why bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Nothing was there.
    #[error("no bytes")]
    Empty,
    /// A later release wrote them.
    #[error(
        "written in format {found}, this release reads up to {known}: run the release that wrote it, or a later one"
    )]
    Newer {
        /// The version byte.
        found: u8,
        /// The newest version this release knows.
        known: u8,
    },
    /// They are not what they should be.
    #[error("damaged bytes")]
    Damaged(#[source] postcard::Error),
    /// More bytes than the value needs.
    #[error("{0} bytes too many")]
    Trailing(usize),
}

/// Encodes `value` behind its version byte.
pub(crate) fn encode<T: Serialize>(version: FormatVersion, value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.push(version.0);
    postcard::to_extend(value, bytes)
        .expect("writing to memory cannot fail: every type here has a known length")
}

/// Decodes what [`encode`] wrote.
pub(crate) fn decode<T: DeserializeOwned>(version: FormatVersion, bytes: &[u8]) -> Result<T, DecodeError> {
    let (&found, rest) = bytes.split_first().ok_or(DecodeError::Empty)?;
    if found > version.0 {
        return Err(DecodeError::Newer { found, known: version.0 });
    }
    let (value, left) = postcard::take_from_bytes(rest).map_err(DecodeError::Damaged)?;
    match left.len() {
        0 => Ok(value),
        count => Err(DecodeError::Trailing(count)),
    }
}

//! Encoding of a model's manifest in the store and on the wire.

use crate::v1::ModelManifest;
use prost::Message;

/// Error for bytes that are no manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the manifest is damaged")]
pub struct DamagedManifest;

/// Decodes a manifest.
///
/// ```
/// use portrait_proto::{manifest, v1::ModelManifest};
/// use prost::Message;
///
/// let written = ModelManifest { version: 7, rows: 2_000, ..Default::default() };
/// assert_eq!(manifest::decode(&written.encode_to_vec())?, written);
/// assert!(manifest::decode(&[0xFF]).is_err());
/// # Ok::<(), manifest::DamagedManifest>(())
/// ```
///
/// # Errors
/// If the bytes do not decode as a manifest.
pub fn decode(bytes: &[u8]) -> Result<ModelManifest, DamagedManifest> {
    ModelManifest::decode(bytes).map_err(|_| DamagedManifest)
}

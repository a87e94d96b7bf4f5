//! Manifest of a model as the store and the wire have it.

use crate::v1::ModelManifest;
use prost::Message;

/// Bytes that are no manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the manifest is damaged")]
pub struct DamagedManifest;

/// Decodes a manifest.
///
/// # Errors
/// If the bytes are not those of one.
pub fn decode(bytes: &[u8]) -> Result<ModelManifest, DamagedManifest> {
    ModelManifest::decode(bytes).map_err(|_| DamagedManifest)
}

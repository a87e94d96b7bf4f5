//! The manifest of a model and what it takes to get from it and the parts to a model that can be served. Used by this room when
//! it publishes, and by every node that takes a version: a model is checked the same way wherever it is read.

use bytes::Bytes;
use portrait_learning::prediction::Learned;
use portrait_learning::{Model, ModelError};
use portrait_profile::FeatureSchema;
use portrait_proto::v1::ModelManifest;
use portrait_store::PartName;
use prost::Message;
use std::collections::BTreeMap;

/// What the part is called that holds scaler, centroids and segments. Those beside it are named by [`Learned`].
pub(crate) const SEGMENTS: &str = "segments";

/// Why a manifest and parts are no model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BadManifest {
    /// The manifest's bytes are not what was encoded.
    #[error("the manifest is damaged")]
    Damaged,
    /// A part that the manifest names is not there.
    #[error("the part {kind:?} is missing")]
    MissingPart {
        /// Which.
        kind: String,
    },
    /// The bytes of a part are not those that were named.
    #[error("the part {kind:?} is not what the manifest names: its checksum differs")]
    OtherPart {
        /// Which.
        kind: String,
    },
    /// Manifest and part are of different models.
    #[error("the manifest is of version {manifest} and the part of version {part}")]
    OtherVersion {
        /// The manifest's.
        manifest: u64,
        /// The part's.
        part: u64,
    },
    /// The part is no model that can be served.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// The name of a part as a manifest has it.
pub(crate) fn name_to_wire(name: PartName) -> Vec<u8> {
    name.get().to_be_bytes().to_vec()
}

/// The name of a part that a manifest has.
pub(crate) fn name_of_wire(bytes: &[u8]) -> Option<PartName> {
    bytes.try_into().ok().map(|bytes| PartName::new(u128::from_be_bytes(bytes)))
}

/// The parts that a manifest names, by kind.
pub(crate) fn parts_of(manifest: &ModelManifest) -> Result<Vec<(String, PartName)>, BadManifest> {
    let part = |part: &portrait_proto::v1::ModelPart| {
        name_of_wire(&part.name).map(|name| (part.kind.clone(), name)).ok_or(BadManifest::Damaged)
    };
    manifest.parts.iter().map(part).collect()
}

/// A manifest of bytes.
pub(crate) fn decoded(bytes: &[u8]) -> Result<ModelManifest, BadManifest> {
    ModelManifest::decode(bytes).map_err(|_| BadManifest::Damaged)
}

/// The model that a manifest and parts are, checked whole, for vectors of `schema`.
///
/// # Errors
/// Whatever makes it unfit to be served.
pub fn assembled(
    manifest: &[u8],
    parts: &BTreeMap<PartName, Bytes>,
    schema: &FeatureSchema,
) -> Result<Model, BadManifest> {
    let manifest = decoded(manifest)?;
    let named = parts_of(&manifest)?;
    let missing = |kind: &str| BadManifest::MissingPart { kind: kind.to_owned() };
    for (kind, name) in &named {
        let bytes = parts.get(name).ok_or_else(|| missing(kind))?;
        if PartName::of(bytes) != *name {
            return Err(BadManifest::OtherPart { kind: kind.clone() });
        }
    }
    let (_, name) = named.iter().find(|(kind, _)| kind == SEGMENTS).ok_or_else(|| missing(SEGMENTS))?;
    let bytes = parts.get(name).ok_or_else(|| missing(SEGMENTS))?;
    let model = Model::decode(bytes, schema)?;
    if model.version.get() != manifest.version {
        return Err(BadManifest::OtherVersion { manifest: manifest.version, part: model.version.get() });
    }
    let mut learned = Learned::default();
    for (kind, name) in named.iter().filter(|(kind, _)| kind != SEGMENTS) {
        if let Some(bytes) = parts.get(name) {
            learned.take(kind, bytes).map_err(ModelError::from)?;
        }
    }
    Ok(model.with_learned(learned)?)
}

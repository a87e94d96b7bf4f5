//! Model manifest: conversion from manifest and parts to a servable model. The publisher and every node use the same
//! checks.

use bytes::Bytes;
use portrait_learning::prediction::Predictors;
use portrait_learning::{Model, ModelError};
use portrait_profile::FeatureSchema;
use portrait_proto::manifest::{self, DamagedManifest};
use portrait_proto::v1::ModelManifest;
use portrait_store::PartName;
use std::collections::BTreeMap;

/// Kind of the part that holds scaler, centroids and segments. The kinds of the predictor parts are named by
/// `Predictors`.
pub(crate) const SEGMENTS: &str = "segments";
/// Kind of the part that a model without segments carries on: [`SEGMENTS`] of the last model that had some. Only trainers read it.
pub(crate) const FORMER_SEGMENTS: &str = "former_segments";

/// Maximum total size of the parts of a model, in bytes: a model is in memory on every node.
pub const MODEL_BYTES_MAX: u64 = 1 << 30;

/// Error of a manifest and parts that do not form a model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidManifest {
    /// The manifest cannot be decoded.
    #[error("the manifest cannot be decoded")]
    Damaged,
    /// The parts are too large for a node.
    #[error("the parts have {bytes} bytes, at most {MODEL_BYTES_MAX} are allowed")]
    TooLarge {
        /// Total size of the parts, in bytes.
        bytes: u64,
    },
    /// A part named by the manifest is missing.
    #[error("part {kind:?} is missing")]
    MissingPart {
        /// Kind of the part.
        kind: String,
    },
    /// The checksum of a part differs from its name.
    #[error("part {kind:?} does not match the manifest: its checksum differs")]
    OtherPart {
        /// Kind of the part.
        kind: String,
    },
    /// Manifest and part have different versions.
    #[error("the manifest has version {manifest} and the part version {part}")]
    OtherVersion {
        /// Version in the manifest.
        manifest: u64,
        /// Version in the part.
        part: u64,
    },
    /// The manifest has segments and the part none.
    #[error("the manifest has {manifest} segments and the part none")]
    LostSegments {
        /// Number of segments in the manifest.
        manifest: u32,
    },
    /// The parts do not form a servable model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Encodes a part name for a manifest: 16 bytes, big-endian.
pub fn name_to_wire(name: PartName) -> Vec<u8> {
    name.get().to_be_bytes().to_vec()
}

/// Decodes a part name of a manifest; none unless it has 16 bytes.
pub fn name_of_wire(bytes: &[u8]) -> Option<PartName> {
    bytes.try_into().ok().map(|bytes| PartName::new(u128::from_be_bytes(bytes)))
}

/// Returns the parts of a manifest as (kind, name).
///
/// # Errors
/// `Damaged` if a part name has the wrong length.
pub fn parts_of(manifest: &ModelManifest) -> Result<Vec<(String, PartName)>, InvalidManifest> {
    let mut parts = Vec::with_capacity(manifest.parts.len());
    for part in &manifest.parts {
        let name = name_of_wire(&part.name).ok_or(InvalidManifest::Damaged)?;
        parts.push((part.kind.clone(), name));
    }
    Ok(parts)
}

/// Decodes a manifest.
///
/// # Errors
/// `Damaged` if the bytes are no manifest.
pub fn decoded(bytes: &[u8]) -> Result<ModelManifest, InvalidManifest> {
    manifest::decode(bytes).map_err(|DamagedManifest| InvalidManifest::Damaged)
}

/// Model that is put together part by part, by the publisher before it publishes and by every node before it serves. Only one part's
/// bytes need to be in memory at a time.
pub struct Assembly {
    manifest: ModelManifest,
    parts: Vec<(String, PartName)>,
    segments: Option<Model>,
    predictors: Predictors,
}

impl Assembly {
    /// Begins with the manifest alone.
    ///
    /// # Errors
    /// `Damaged` if the manifest cannot be decoded, `TooLarge` above [`MODEL_BYTES_MAX`], `MissingPart` without segments.
    pub fn begin(manifest: &[u8]) -> Result<Self, InvalidManifest> {
        let manifest = decoded(manifest)?;
        let mut parts = parts_of(&manifest)?;
        let bytes = manifest.parts.iter().map(|part| part.size).fold(0, u64::saturating_add);
        // Checked before anything is read or allocated, since the sizes come from another process.
        if bytes > MODEL_BYTES_MAX {
            return Err(InvalidManifest::TooLarge { bytes });
        }
        if !parts.iter().any(|(kind, _)| kind == SEGMENTS) {
            return Err(InvalidManifest::MissingPart { kind: SEGMENTS.to_owned() });
        }
        // Kinds that this release does not know are ignored, so that nodes of two releases can share a model.
        parts.retain(|(kind, _)| kind == SEGMENTS || Predictors::is_known(kind));
        Ok(Self { manifest, parts, segments: None, predictors: Predictors::default() })
    }

    /// Returns the parts that this release reads, as (kind, name).
    pub fn parts(&self) -> &[(String, PartName)] {
        &self.parts
    }

    /// Takes over the decoded part of `kind` from a model that has the same part.
    pub fn share(&mut self, kind: &str, model: &Model) {
        self.predictors.share_part(kind, model.predictors());
    }

    /// Decodes and checks a part; none of its bytes are kept.
    ///
    /// # Errors
    /// `MissingPart` without bytes, `OtherPart` if they do not have the name, `Model` if they cannot be decoded.
    pub fn add(&mut self, kind: &str, name: PartName, bytes: Option<&[u8]>) -> Result<(), InvalidManifest> {
        let bytes = bytes.ok_or_else(|| InvalidManifest::MissingPart { kind: kind.to_owned() })?;
        // Part names are content hashes: this detects damage in the store and on the way alike.
        if PartName::of(bytes) != name {
            return Err(InvalidManifest::OtherPart { kind: kind.to_owned() });
        }
        if kind == SEGMENTS {
            self.segments = Some(Model::decode(bytes, FeatureSchema::current())?);
        } else {
            self.predictors.decode_part(kind, bytes).map_err(ModelError::from)?;
        }
        Ok(())
    }

    /// Checks the model as a whole and probes every part.
    ///
    /// # Errors
    /// `MissingPart` if the part of the segments was not added, `OtherVersion`, `LostSegments`, and `Model` for parts that contradict
    /// each other or give answers that cannot be served.
    pub fn finish(self) -> Result<Model, InvalidManifest> {
        let model =
            self.segments.ok_or_else(|| InvalidManifest::MissingPart { kind: SEGMENTS.to_owned() })?;
        if model.version.get() != self.manifest.version {
            let part = model.version.get();
            return Err(InvalidManifest::OtherVersion { manifest: self.manifest.version, part });
        }
        // A model may be without segments, but not one whose trainer found some.
        if model.segments.is_empty() && self.manifest.segments > 0 {
            return Err(InvalidManifest::LostSegments { manifest: self.manifest.segments });
        }
        let model = model.with_predictors(self.predictors)?;
        model.probe()?;
        Ok(model)
    }
}

/// Assembles a model whose parts are all in memory, with every check of a node.
///
/// # Errors
/// Any reason that a node would refuse the model.
pub fn assembled(manifest: &[u8], parts: &BTreeMap<PartName, Bytes>) -> Result<Model, InvalidManifest> {
    let mut assembly = Assembly::begin(manifest)?;
    for (kind, name) in assembly.parts().to_vec() {
        assembly.add(&kind, name, parts.get(&name).map(|bytes| &bytes[..]))?;
    }
    assembly.finish()
}

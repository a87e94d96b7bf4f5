//! Model manifest: conversion from manifest and parts to a servable model. The publisher and every node use the same
//! checks.

use crate::error::Error;
use bytes::Bytes;
use portrait_learning::prediction::Predictors;
use portrait_learning::{Model, ModelError};
use portrait_profile::{FeatureSchema, ModelVersion};
use portrait_proto::manifest::{self, DamagedManifest};
use portrait_proto::v1::ModelManifest;
use portrait_store::{PartName, Registry};
use std::collections::BTreeMap;

/// Kind of the part that holds scaler, centroids and segments. The kinds of the predictor parts are named by
/// `Predictors`.
pub(crate) const SEGMENTS: &str = "segments";

/// Error of a manifest and parts that do not form a model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidManifest {
    /// The manifest cannot be decoded.
    #[error("the manifest cannot be decoded")]
    Damaged,
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

/// Returns the manifest of a version of the registry.
pub(crate) fn of_version(registry: &Registry, version: ModelVersion) -> Result<ModelManifest, Error> {
    let model = registry.model(version).ok_or(Error::NotFound { version: version.get() })?;
    decoded(&model.manifest).map_err(|error| Error::stored(version, &error))
}

/// Assembles a model from its manifest and parts, and checks all of it for vectors of `schema`.
///
/// # Errors
/// Any reason that the model cannot be served.
pub fn assembled(
    manifest: &[u8],
    parts: &BTreeMap<PartName, Bytes>,
    schema: &FeatureSchema,
) -> Result<Model, InvalidManifest> {
    let manifest = decoded(manifest)?;
    let named = parts_of(&manifest)?;
    let missing = |kind: &str| InvalidManifest::MissingPart { kind: kind.to_owned() };
    for (kind, name) in &named {
        let bytes = parts.get(name).ok_or_else(|| missing(kind))?;
        // Part names are content hashes: this detects damage in the store and on the wire alike.
        if PartName::of(bytes) != *name {
            return Err(InvalidManifest::OtherPart { kind: kind.clone() });
        }
    }
    let (_, name) = named.iter().find(|(kind, _)| kind == SEGMENTS).ok_or_else(|| missing(SEGMENTS))?;
    let bytes = parts.get(name).ok_or_else(|| missing(SEGMENTS))?;
    let model = Model::decode(bytes, schema)?;
    if model.version.get() != manifest.version {
        return Err(InvalidManifest::OtherVersion { manifest: manifest.version, part: model.version.get() });
    }
    let mut predictors = Predictors::default();
    // Kinds that this release does not know are ignored, so that nodes of two releases can share a model.
    for (kind, name) in named.iter().filter(|(kind, _)| kind != SEGMENTS) {
        if let Some(bytes) = parts.get(name) {
            predictors.decode_part(kind, bytes).map_err(ModelError::from)?;
        }
    }
    Ok(model.with_predictors(predictors)?)
}

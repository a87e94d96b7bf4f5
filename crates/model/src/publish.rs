//! Publication of a trained model: quality check, upload of parts and manifest, then publication, activation and
//! deletion of expired versions in one registry change. Input: a trained model and the training lease. Output: its
//! manifest.

use crate::context::Shared;
use crate::error::Error;
use crate::manifest::{self, SEGMENTS, name_of_wire, name_to_wire};
use crate::train::Candidate;
use bytes::Bytes;
use portrait_learning::Model;
use portrait_profile::{FeatureSchema, ModelVersion, SegmentId};
use portrait_proto::time;
use portrait_proto::v1::{ModelManifest, ModelPart, TrainingCause};
use portrait_store::{LeaseToken, PartName, PublishedModel, Registry, RegistryChange};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// Options of a publication.
pub(crate) struct Terms {
    /// Token of the training lease.
    pub(crate) token: LeaseToken,
    /// Trigger of the training.
    pub(crate) cause: TrainingCause,
    /// Publishes even if the quality check fails.
    pub(crate) force: bool,
    /// Number of records applied before the vectors were read.
    pub(crate) applied_total: u64,
}

/// Publishes a trained model and activates it.
///
/// # Errors
/// `InertiaIncreased` if the quality check fails; store errors, among them a lost lease.
pub(crate) async fn publish(
    shared: &Shared,
    candidate: &Candidate,
    terms: &Terms,
) -> Result<ModelManifest, Error> {
    if !terms.force {
        judge(candidate, shared.config.worse_max)?;
    }
    let bytes = Bytes::from(candidate.model.encode());
    // Same decoding as on every node: a model that cannot be read back is never published.
    let checked = Model::decode(&bytes, FeatureSchema::current())?;
    let mut parts = vec![put(shared, SEGMENTS, bytes).await?];
    for (kind, bytes) in candidate.model.predictors().encode() {
        parts.push(put(shared, kind, bytes.into()).await?);
    }
    let names = parts.iter().filter_map(|part| name_of_wire(&part.name)).collect();
    let now = shared.now();
    let manifest = ModelManifest {
        version: checked.version.get(),
        parent_version: checked.parent.map_or(0, ModelVersion::get),
        trained_at: Some(time::to_wire(now)),
        as_of: Some(time::to_wire(checked.as_of)),
        schema_hash: checked.schema_hash,
        rows: candidate.rows as u64,
        segments: u32::try_from(checked.segments.len()).unwrap_or(u32::MAX),
        cause: terms.cause.into(),
        quality: Some(candidate.quality),
        parts,
        applied_total: terms.applied_total,
        next_segment: checked.next_segment.get(),
    };
    let published =
        PublishedModel { version: checked.version, at: now, manifest: manifest.encode_to_vec().into() };
    let registry = shared.stored_registry().await?;
    let (forget, forget_parts) = surplus(&registry, names, shared.config.keep);
    let change = RegistryChange {
        expected: registry.registry_no,
        publish: Some((terms.token, published)),
        activate: Some(checked.version),
        forget,
        forget_parts,
    };
    shared.store.change_registry(change).await?;
    shared.metrics.published(&manifest);
    tracing::info!(
        version = manifest.version,
        rows = manifest.rows,
        segments = manifest.segments,
        "model published"
    );
    Ok(manifest)
}

/// Stores a part and returns its manifest entry.
async fn put(shared: &Shared, kind: &str, bytes: Bytes) -> Result<ModelPart, Error> {
    let size = bytes.len() as u64;
    let name = shared.store.put_part(bytes).await?;
    Ok(ModelPart { name: name_to_wire(name), kind: kind.to_owned(), size })
}

/// Checks that inertia has not increased beyond the limit against the served model, both measured on the same
/// vectors.
fn judge(candidate: &Candidate, worse_max: f64) -> Result<(), Error> {
    let Some(live) = candidate.quality.parent_inertia_per_row.filter(|live| *live > 0.0) else {
        return Ok(());
    };
    let worse = candidate.quality.inertia_per_row / live - 1.0;
    // Fewer segments raise inertia by construction. A caller that requests fewer passes `force`.
    if worse > worse_max {
        return Err(Error::Worse { worse: worse * 100.0, allowed: worse_max * 100.0 });
    }
    Ok(())
}

/// Returns the oldest versions beyond `keep`, and the parts that only they use.
fn surplus(registry: &Registry, new: BTreeSet<PartName>, keep: usize) -> (Vec<ModelVersion>, Vec<PartName>) {
    let surplus = (registry.models.len() + 1).saturating_sub(keep);
    let (mut forget, mut gone, mut needed) = (Vec::new(), BTreeSet::new(), new);
    for (index, model) in registry.models.iter().enumerate() {
        let parts = manifest::decoded(&model.manifest).and_then(|manifest| manifest::parts_of(&manifest));
        let parts = parts.unwrap_or_default().into_iter().map(|(_, name)| name);
        // The active version is kept although it is old: it becomes the rollback target of this publication.
        if index < surplus && registry.active != Some(model.version) {
            forget.push(model.version);
            gone.extend(parts);
        } else {
            needed.extend(parts);
        }
    }
    (forget, gone.difference(&needed).copied().collect())
}

/// Returns true if the model was trained with the feature schema of this release; any other model is replaced by a
/// first one.
pub(crate) fn fits(manifest: &[u8]) -> bool {
    manifest::decoded(manifest).is_ok_and(|manifest| manifest.schema_hash == FeatureSchema::current().hash())
}

/// Returns the first segment id that no kept model has used. Ids are never reused, so that subscribers can rely on
/// them.
pub(crate) fn next_segment(registry: &Registry) -> SegmentId {
    let manifests = registry.models.iter().filter_map(|model| manifest::decoded(&model.manifest).ok());
    SegmentId::new(manifests.map(|manifest| manifest.next_segment).max().unwrap_or(1).max(1))
}

/// Returns the served model from the store; none before the first, or if its feature schema is not the one of this
/// release.
pub(crate) async fn served(shared: &Shared) -> Result<Option<Model>, Error> {
    let registry = shared.stored_registry().await?;
    let active = registry.active_model().filter(|model| fits(&model.manifest));
    let Some(active) = active else { return Ok(None) };
    let manifest = manifest::decoded(&active.manifest).and_then(|manifest| manifest::parts_of(&manifest));
    let mut parts = BTreeMap::new();
    for (_, name) in manifest.map_err(|bad| Error::stored(active.version, &bad))? {
        if let Some(part) = shared.store.part(name).await? {
            parts.insert(name, part);
        }
    }
    let model = manifest::assembled(&active.manifest, &parts, FeatureSchema::current());
    model.map(Some).map_err(|bad| Error::stored(active.version, &bad))
}

/// Activates a published version and returns the previously active one.
///
/// # Errors
/// `NotFound` if the registry has no such version; store errors.
pub(crate) async fn activate(shared: &Shared, version: ModelVersion) -> Result<Option<ModelVersion>, Error> {
    let registry = shared.stored_registry().await?;
    manifest::of_version(&registry, version)?;
    let change = RegistryChange {
        expected: registry.registry_no,
        publish: None,
        activate: Some(version),
        forget: Vec::new(),
        forget_parts: Vec::new(),
    };
    shared.store.change_registry(change).await?;
    let previous_version = registry.active.map_or(0, ModelVersion::get);
    tracing::info!(version = version.get(), previous_version, "model activated");
    Ok(registry.active)
}

//! Publication of a trained model: quality check, upload of parts and manifest, then publication, activation and
//! deletion of expired versions in one registry change. Input: a trained model and the training lease. Output: its
//! manifest.

use crate::context::ModelContext;
use crate::error::Error;
use crate::manifest::{self, SEGMENTS, name_of_wire, name_to_wire};
use crate::train::TrainedModel;
use bytes::Bytes;
use portrait_learning::Model;
use portrait_profile::{FeatureSchema, ModelVersion, SegmentId};
use portrait_proto::time;
use portrait_proto::v1::{ModelManifest, ModelPart, TrainingCause};
use portrait_store::{LeaseToken, PartName, PublishedModel, Registry, RegistryChange};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// Options of a publication.
pub(crate) struct PublishOptions {
    /// Token of the training lease.
    pub(crate) token: LeaseToken,
    /// Trigger of the training.
    pub(crate) cause: TrainingCause,
    /// Publishes even if the quality check fails.
    pub(crate) force: bool,
    /// Number of records applied before the vectors were read.
    pub(crate) applied_total: u64,
    /// Applied log positions before the vectors were read, as a consistency token.
    pub(crate) sampled_positions: Vec<u8>,
}

/// Publishes a trained model and activates it.
///
/// # Errors
/// `InertiaIncreased` if the quality check fails; store errors, among them a lost lease.
pub(crate) async fn publish(
    shared: &ModelContext,
    trained: &TrainedModel,
    options: &PublishOptions,
) -> Result<ModelManifest, Error> {
    if !options.force {
        check_quality(trained, shared.config.inertia_increase_max)?;
    }
    let bytes = Bytes::from(trained.model.encode());
    // Same decoding as on every node: a model that cannot be read back is never published.
    let checked = Model::decode(&bytes, FeatureSchema::current())?;
    let mut parts = vec![put_part(shared, SEGMENTS, bytes).await?];
    // Parts first, registry last: a crash in between leaves unused parts, never a version without its parts.
    for (kind, bytes) in trained.model.predictors().encode() {
        parts.push(put_part(shared, kind, bytes.into()).await?);
    }
    let names = parts.iter().filter_map(|part| name_of_wire(&part.name)).collect();
    let now = shared.now();
    let manifest = ModelManifest {
        version: checked.version.get(),
        parent_version: checked.parent.map_or(0, ModelVersion::get),
        trained_at: Some(time::to_wire(now)),
        as_of: Some(time::to_wire(checked.as_of)),
        schema_hash: checked.schema_hash,
        rows: trained.rows as u64,
        segments: u32::try_from(checked.segments.len()).unwrap_or(u32::MAX),
        cause: options.cause.into(),
        quality: Some(trained.quality),
        parts,
        applied_total: options.applied_total,
        next_segment: checked.next_segment.get(),
        sampled_positions: options.sampled_positions.clone(),
    };
    let published =
        PublishedModel { version: checked.version, at: now, manifest: manifest.encode_to_vec().into() };
    // Read as late as possible: the change is refused if the registry has moved since.
    let registry = shared.stored_registry().await?;
    let (forget, forget_parts) = expired_versions(&registry, names, shared.config.versions_kept);
    let change = RegistryChange {
        expected: registry.registry_no,
        publish: Some((options.token, published)),
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
async fn put_part(shared: &ModelContext, kind: &str, bytes: Bytes) -> Result<ModelPart, Error> {
    let size = bytes.len() as u64;
    let name = shared.store.put_part(bytes).await?;
    Ok(ModelPart { name: name_to_wire(name), kind: kind.to_owned(), size })
}

/// Checks that inertia has not increased beyond the limit against the served model, both measured on the same
/// vectors.
fn check_quality(trained: &TrainedModel, inertia_increase_max: f64) -> Result<(), Error> {
    let Some(served) = trained.quality.parent_inertia_per_row.filter(|served| *served > 0.0) else {
        return Ok(());
    };
    let increase = trained.quality.inertia_per_row / served - 1.0;
    // Fewer segments raise inertia by construction. A caller that requests fewer passes `force`.
    if increase > inertia_increase_max {
        return Err(Error::InertiaIncreased {
            increase: increase * 100.0,
            allowed: inertia_increase_max * 100.0,
        });
    }
    Ok(())
}

/// Returns the oldest versions beyond `keep`, and the parts that only they use.
fn expired_versions(
    registry: &Registry,
    new: BTreeSet<PartName>,
    keep: usize,
) -> (Vec<ModelVersion>, Vec<PartName>) {
    let surplus = (registry.models.len() + 1).saturating_sub(keep);
    let mut versions = Vec::new();
    let mut expired_parts = BTreeSet::new();
    // Versions share parts that did not change, so a part expires only if no kept version uses it.
    let mut needed_parts = new;
    for (index, model) in registry.models.iter().enumerate() {
        let parts = manifest::decoded(&model.manifest).and_then(|manifest| manifest::parts_of(&manifest));
        let parts = parts.unwrap_or_default().into_iter().map(|(_, name)| name);
        // The active version is kept although it is old: it becomes the rollback target of this publication.
        if index < surplus && registry.active != Some(model.version) {
            versions.push(model.version);
            expired_parts.extend(parts);
        } else {
            needed_parts.extend(parts);
        }
    }
    (versions, expired_parts.difference(&needed_parts).copied().collect())
}

/// Returns true if the model was trained with the feature schema of this release; any other model is replaced by a
/// first one.
pub(crate) fn has_current_schema(manifest: &[u8]) -> bool {
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
pub(crate) async fn served(shared: &ModelContext) -> Result<Option<Model>, Error> {
    let registry = shared.stored_registry().await?;
    let active = registry.active_model().filter(|model| has_current_schema(&model.manifest));
    let Some(active) = active else { return Ok(None) };
    let manifest = manifest::decoded(&active.manifest).and_then(|manifest| manifest::parts_of(&manifest));
    let mut parts = BTreeMap::new();
    for (_, name) in manifest.map_err(|error| Error::stored(active.version, &error))? {
        if let Some(part) = shared.store.part(name).await? {
            parts.insert(name, part);
        }
    }
    let model = manifest::assembled(&active.manifest, &parts, FeatureSchema::current());
    model.map(Some).map_err(|error| Error::stored(active.version, &error))
}

/// Activates a published version and returns the previously active one.
///
/// # Errors
/// `NotFound` if the registry has no such version; store errors.
pub(crate) async fn activate(
    shared: &ModelContext,
    version: ModelVersion,
) -> Result<Option<ModelVersion>, Error> {
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

//! Publication of a trained model: quality check, the checks of a node, upload of the parts, then publication,
//! activation and deletion of expired versions in one registry change. Input: a trained model and the training lease.
//! Output: its manifest.

use crate::command::Activation;
use crate::context::ModelContext;
use crate::erasures::AppliedBefore;
use crate::error::Error;
use crate::manifest::{
    self, Assembly, FORMER_SEGMENTS, InvalidManifest, SEGMENTS, name_of_wire, name_to_wire,
};
use crate::train::TrainedModel;
use bytes::Bytes;
use portrait_learning::Model;
use portrait_profile::{FeatureSchema, ModelVersion, SegmentId, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::{ModelManifest, ModelPart, NodeStatus, TrainingCause};
use portrait_store::{LeaseToken, PartName, PublishedModel, Registry, RegistryChange, RegistryNo};
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
    /// Records applied before the vectors were read.
    pub(crate) applied: AppliedBefore,
}

/// Encoded candidate: its manifest and the bytes of its parts.
struct EncodedModel {
    manifest: ModelManifest,
    parts: BTreeMap<PartName, Bytes>,
}

/// Publishes a trained model and activates it.
///
/// # Errors
/// `InertiaIncreased` if the quality check fails, `Candidate` if a node would refuse the model; store errors, among them
/// a lost lease.
pub(crate) async fn publish(
    shared: &ModelContext,
    trained: TrainedModel,
    options: &PublishOptions,
) -> Result<Activation, Error> {
    if !options.force {
        check_quality(&trained, shared.config.inertia_increase_max)?;
    }
    let now = shared.now();
    let header = ModelManifest {
        trained_at: Some(time::to_wire(now)),
        cause: options.cause.into(),
        applied_total: options.applied.total,
        sampled_positions: options.applied.encode(shared),
        ..ModelManifest::default()
    };
    // Encoding and decoding take seconds for a large shop: not on a thread that answers calls.
    let candidate = tokio::task::spawn_blocking(move || EncodedModel::checked(&trained, header)).await;
    let EncodedModel { manifest, parts } = candidate.map_err(|_| Error::Panicked)??;
    // Parts first, registry last: a crash in between leaves unused parts, never a version without its parts.
    for part in parts.into_values() {
        shared.store.put_part(part).await?;
    }
    // As late as possible: storing the parts of a large shop takes seconds.
    options.applied.check_erasures(shared).await?;
    let registry_no = add_to_registry(shared, &manifest, options.token, now).await?;
    shared.metrics.published(&manifest);
    tracing::info!(
        version = manifest.version,
        rows = manifest.rows,
        segments = manifest.segments,
        "model published"
    );
    let previous = ModelVersion::new(manifest.parent_version);
    Ok(Activation { manifest, previous, registry_no })
}

/// Adds a version to the registry, activates it and removes the expired ones, in one change.
async fn add_to_registry(
    shared: &ModelContext,
    manifest: &ModelManifest,
    token: LeaseToken,
    now: Timestamp,
) -> Result<RegistryNo, Error> {
    let version = ModelVersion::new(manifest.version).ok_or(Error::Panicked)?;
    let names = manifest.parts.iter().filter_map(|part| name_of_wire(&part.name)).collect();
    let published = PublishedModel { version, at: now, manifest: manifest.encode_to_vec().into() };
    // Read as late as possible: the change is refused if the registry has moved since.
    let registry = shared.stored_registry().await?;
    let (forget, forget_parts) = expired_versions(&registry, names, shared.config.versions_kept);
    let change = RegistryChange {
        trainer: Some(token),
        publish: Some(published),
        activate: Some(version),
        forget,
        forget_parts,
        ..RegistryChange::of(registry.registry_no)
    };
    Ok(shared.store.change_registry(change).await?)
}

impl EncodedModel {
    /// Encodes a model and checks it as a node does: what a node would refuse is never published.
    fn checked(trained: &TrainedModel, header: ModelManifest) -> Result<Self, Error> {
        let model = &trained.model;
        let segments = (SEGMENTS, model.encode());
        let former = trained.former.iter().map(|former| (FORMER_SEGMENTS, former.encode()));
        let encoded = std::iter::once(segments).chain(model.predictors().encode()).chain(former);
        let mut parts = BTreeMap::new();
        let mut entries = Vec::new();
        for (kind, bytes) in encoded {
            let name = PartName::of(&bytes);
            let size = bytes.len() as u64;
            entries.push(ModelPart { name: name_to_wire(name), kind: kind.to_owned(), size });
            parts.insert(name, Bytes::from(bytes));
        }
        let manifest = ModelManifest {
            version: model.version.get(),
            parent_version: model.parent.map_or(0, ModelVersion::get),
            as_of: Some(time::to_wire(model.as_of)),
            schema_hash: model.schema_hash,
            rows: trained.rows as u64,
            segments: u32::try_from(model.segments.len()).unwrap_or(u32::MAX),
            quality: trained.quality,
            parts: entries,
            next_segment: model.next_segment.get(),
            limits: trained.limits.clone(),
            shortfalls: trained.shortfalls.clone(),
            ..header
        };
        let candidate = Self { manifest, parts };
        let checked = manifest::assembled(&candidate.manifest.encode_to_vec(), &candidate.parts);
        checked.map_err(|problem| Error::Candidate { problem })?;
        Ok(candidate)
    }
}

/// Waits until every watching node has acknowledged or refused the activated version, or another version is active, at
/// most `model.acknowledge_timeout`. Returns the status of the nodes that watched.
pub(crate) async fn await_nodes(shared: &ModelContext, activation: &Activation) -> Vec<NodeStatus> {
    let version = activation.manifest.version;
    let mut registry = shared.registry.subscribe();
    let superseded = registry.wait_for(|registry| {
        let active = registry.active.map_or(0, ModelVersion::get);
        registry.registry_no >= activation.registry_no && active != version
    });
    tokio::select! {
        nodes = shared.nodes.acknowledged(version, shared.config.acknowledge_timeout) => nodes,
        // Nodes skip to the newest version: none will acknowledge this one any more.
        _ = superseded => shared.nodes.list(),
    }
}

/// Checks that inertia has not increased beyond the limit against a served model with as many segments, both measured
/// on the same vectors.
fn check_quality(trained: &TrainedModel, inertia_increase_max: f64) -> Result<(), Error> {
    let Some(quality) = &trained.quality else { return Ok(()) };
    let Some(served) = quality.parent_inertia_per_row.filter(|served| *served > 0.0) else {
        return Ok(());
    };
    let increase = quality.inertia_per_row / served - 1.0;
    // Fewer segments raise inertia by construction, which says nothing about the model.
    let is_comparable = trained.served_segments == Some(trained.model.segments.len());
    if is_comparable && increase > inertia_increase_max {
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
    let stored = |error: InvalidManifest| Error::stored(active.version, &error);
    let mut assembly = Assembly::begin(&active.manifest).map_err(stored)?;
    for (kind, name) in assembly.parts().to_vec() {
        let bytes = shared.store.part(name).await?;
        assembly.add(&kind, name, bytes.as_deref()).map_err(stored)?;
    }
    assembly.finish().map(Some).map_err(stored)
}

/// Returns the manifest of a version of the registry.
pub(crate) fn manifest_of(registry: &Registry, version: ModelVersion) -> Result<ModelManifest, Error> {
    let model = registry.model(version).ok_or(Error::NotFound { version: version.get() })?;
    manifest::decoded(&model.manifest).map_err(|error| Error::stored(version, &error))
}

/// Activates a published version.
///
/// # Errors
/// `NotFound` if the registry has no such version; store errors.
pub(crate) async fn activate(shared: &ModelContext, version: ModelVersion) -> Result<Activation, Error> {
    let registry = shared.stored_registry().await?;
    let manifest = manifest_of(&registry, version)?;
    let change = RegistryChange { activate: Some(version), ..RegistryChange::of(registry.registry_no) };
    let registry_no = shared.store.change_registry(change).await?;
    let previous_version = registry.active.map_or(0, ModelVersion::get);
    tracing::info!(version = version.get(), previous_version, "model activated");
    Ok(Activation { manifest, previous: registry.active, registry_no })
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_learning::prediction::Lookalikes;
    use portrait_learning::testing::by_views;
    use portrait_proto::v1::ModelQuality;
    use std::sync::Arc;

    fn trained(model: Model, quality: ModelQuality) -> TrainedModel {
        TrainedModel {
            model,
            quality: Some(quality),
            rows: 10,
            served_segments: Some(2),
            limits: Vec::new(),
            shortfalls: Vec::new(),
            former: None,
        }
    }

    fn model() -> Model {
        by_views(ModelVersion::FIRST, [1, 2], Timestamp::EPOCH)
    }

    #[test]
    fn only_a_candidate_with_as_many_segments_is_compared_with_the_served_model() {
        let quality = |inertia_per_row| ModelQuality {
            inertia_per_row,
            parent_inertia_per_row: Some(1.0),
            ..ModelQuality::default()
        };
        for (inertia, served_segments, is_refused) in
            [(1.005, Some(2), false), (1.02, Some(2), true), (1.54, Some(3), false), (9.0, None, false)]
        {
            let candidate = TrainedModel { served_segments, ..trained(model(), quality(inertia)) };
            let refused = check_quality(&candidate, 0.01);
            assert_eq!(refused.is_err(), is_refused, "{inertia} beside {served_segments:?}: {refused:?}");
        }
    }

    #[test]
    fn a_candidate_that_a_node_would_refuse_is_an_error_with_part_check_and_value() {
        let candidate =
            EncodedModel::checked(&trained(model(), ModelQuality::default()), ModelManifest::default());
        let candidate = candidate.expect("a model that can be served");
        assert_eq!((candidate.manifest.version, candidate.parts.len()), (1, 1));

        let mut predictors = model().predictors().clone();
        // A sample without users can be decoded, and answers no query.
        predictors.lookalikes =
            Some(Arc::new(Lookalikes::new(model().embed(&vec![0.0; model().width()]).len())));
        let model = model().with_predictors(predictors).expect("it fits together");
        let refused =
            EncodedModel::checked(&trained(model, ModelQuality::default()), ModelManifest::default());
        let error = refused.err().expect("a node would refuse it").to_string();
        assert!(error.contains(r#"part "lookalikes""#), "{error}");
        assert!(error.contains("number of similar users: 0"), "{error}");
    }
}

//! Recently served models, so that a rollback reads nothing and a new version reads only the parts that have changed. Bounded by the
//! encoded size of their parts.

use bytes::Bytes;
use portrait_learning::Model;
use portrait_model::manifest::{decoded, name_of_wire};
use portrait_store::PartName;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Recently served models, newest last.
pub(super) struct KeptModels {
    /// Largest encoded size of all parts, in bytes; the served model is kept at any size.
    bytes_max: u64,
    models: Vec<KeptModel>,
}

struct KeptModel {
    version: u64,
    manifest: Bytes,
    /// Parts by kind, with their sizes in bytes.
    parts: BTreeMap<String, (PartName, u64)>,
    model: Arc<Model>,
}

impl KeptModels {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, models: Vec::new() }
    }

    /// Returns a kept model with this version and manifest.
    pub(super) fn model(&self, version: u64, manifest: &Bytes) -> Option<Arc<Model>> {
        let kept = self.models.iter().find(|kept| kept.version == version && kept.manifest == *manifest)?;
        Some(Arc::clone(&kept.model))
    }

    /// Returns a kept model whose part of `kind` has this name.
    pub(super) fn with_part(&self, kind: &str, name: PartName) -> Option<Arc<Model>> {
        let has_part = |kept: &&KeptModel| kept.parts.get(kind).is_some_and(|(known, _)| *known == name);
        self.models.iter().find(has_part).map(|kept| Arc::clone(&kept.model))
    }

    /// Keeps the model that is served from now on, and drops the least recently served ones beyond the limit.
    pub(super) fn keep(&mut self, version: u64, manifest: Bytes, model: &Arc<Model>) {
        let parts = decoded(&manifest).map(|manifest| manifest.parts).unwrap_or_default();
        let parts = parts.into_iter().filter_map(|part| {
            let name = name_of_wire(&part.name)?;
            Some((part.kind, (name, part.size)))
        });
        let parts = parts.collect();
        self.models.retain(|kept| kept.version != version);
        self.models.push(KeptModel { version, manifest, parts, model: Arc::clone(model) });
        while self.models.len() > 1 && self.bytes() > self.bytes_max {
            self.models.remove(0);
        }
    }

    /// Encoded size of all parts in bytes; a part that several models share counts once.
    fn bytes(&self) -> u64 {
        let parts: BTreeMap<PartName, u64> =
            self.models.iter().flat_map(|kept| kept.parts.values().copied()).collect();
        parts.values().sum()
    }
}

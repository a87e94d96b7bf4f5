//! Removal of parts that no retained model names: a training that was killed between its first part and the registry leaves some.
//! Input: the names of all stored parts and the registry. Only the holder of the training lease removes, so no part of a running
//! training is taken for one.

use crate::context::ModelContext;
use crate::error::Error;
use crate::manifest;
use portrait_store::{LeaseToken, PartName, Registry, RegistryChange};
use std::collections::BTreeSet;

/// Returns the stored parts that no model of `registry` names; none if a manifest cannot be read, because its parts are unknown.
pub(crate) async fn orphans(shared: &ModelContext, registry: &Registry) -> Result<Vec<PartName>, Error> {
    let mut named = BTreeSet::new();
    for model in &registry.models {
        let parts = manifest::decoded(&model.manifest).and_then(|manifest| manifest::parts_of(&manifest));
        let Ok(parts) = parts else { return Ok(Vec::new()) };
        named.extend(parts.into_iter().map(|(_, name)| name));
    }
    let stored = shared.store.parts().await?;
    Ok(stored.into_iter().filter(|name| !named.contains(name)).collect())
}

/// Removes orphaned parts, as the holder of the training lease.
///
/// # Errors
/// Store errors; among them a lost lease, after which the parts may be those of the next trainer.
pub(crate) async fn remove(shared: &ModelContext, token: LeaseToken) -> Result<(), Error> {
    let registry = shared.stored_registry().await?;
    let forget_parts = orphans(shared, &registry).await?;
    if forget_parts.is_empty() {
        return Ok(());
    }
    let parts = forget_parts.len();
    let change =
        RegistryChange { trainer: Some(token), forget_parts, ..RegistryChange::of(registry.registry_no) };
    shared.store.change_registry(change).await?;
    tracing::info!(parts, "parts of an interrupted training removed");
    Ok(())
}

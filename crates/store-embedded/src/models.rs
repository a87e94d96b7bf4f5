//! Models in the embedded backend: registry and training lease are one value, the parts are stored beside it. Only the writer
//! thread changes them; readers see the state on disk.

use portrait_store::backend::lease::Lease;
use portrait_store::{Registry, RegistryChange, RegistryNo, Result};
use serde::{Deserialize, Serialize};

/// Registry and training lease as stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ModelState {
    /// Training lease of the deployment.
    pub(super) lease: Lease,
    /// Registry of the models.
    pub(super) registry: Registry,
}

impl ModelState {
    /// Applies `change`, or nothing; returns the new number of the registry.
    pub(super) fn change(&mut self, change: &RegistryChange) -> Result<RegistryNo> {
        self.registry = self.registry.changed(change, |token| self.lease.is_held_by(token))?;
        Ok(self.registry.registry_no)
    }
}

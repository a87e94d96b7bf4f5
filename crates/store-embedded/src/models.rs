//! The models of the deployment as the embedded room keeps them: the registry and the right to train as one value, the parts
//! beside it. The writer alone changes them; readers see what is on disk.

use super::lease::Lease;
use portrait_store::{Registry, RegistryChange, RegistryNo, Result};
use serde::{Deserialize, Serialize};

/// As it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ModelState {
    /// Who may train.
    pub(super) lease: Lease,
    /// What there is.
    pub(super) registry: Registry,
}

impl ModelState {
    /// Does what `change` asks for, or nothing.
    pub(super) fn change(&mut self, change: &RegistryChange) -> Result<RegistryNo> {
        self.registry = self.registry.changed(change, |token| self.lease.is_held_by(token))?;
        Ok(self.registry.registry_no)
    }
}
